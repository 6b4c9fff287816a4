(** * Linear regression: the variance falls with the batch size (row "regression" of the ledger)

    n examples with probabilities p; the gradient of example i at the state s is g_i(s) = H_i s - k_i, with any matrix
    H_i and any vector k_i.  A step draws a batch, G its mean gradient, and moves the state to

        U_t s + q_t + K_t G(s),

    with any U_t, q_t, K_t that do not depend on the batch.  SGD is U = 1, q = 0, K = - a_t; momentum, Nesterov and
    weight decay are other choices, with the velocity as a part of the state (falls.v).  Every step has a fresh batch.

    For all examples, steps t and matrices A, the variances of A s_t and of A G_t are polynomials in the sampling factor
    c without a constant term and with non-negative coefficients, the same for every way of sampling; E |G_t|^2 has a
    constant.  That they fall with the batch size, or do not depend on it, follows in falls.v.  In words, and for any
    law: ../linear-regression.md, whose equations are cited here. *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
From linvar Require Import sampling psd.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

(** ** Means and second moments on a finite probability space *)

(** The mean of F, a number, vector or matrix, with weights c. *)
Definition mean (R : ringType) (T : finType) (V : lmodType R) (c : T -> R) (F : T -> V) := \sum_x c x *: F x.

Definition outer (R : ringType) d (x : 'cV[R]_d) := x *m x^T.

Section Means.
Variables (R : realFieldType) (T : finType) (c : T -> R).
Hypothesis c_sum : \sum_x c x = 1.

Lemma eq_mean (V : lmodType R) (F F' : T -> V) : F =1 F' -> mean c F = mean c F'.
Proof. by move=> FF'; apply: eq_bigr => x _; rewrite FF'. Qed.

Lemma mean_const (V : lmodType R) (v : V) : mean c (fun _ => v) = v.
Proof. by rewrite /mean -scaler_suml c_sum scale1r. Qed.

Lemma mean_add (V : lmodType R) (F F' : T -> V) : mean c (fun x => F x + F' x) = mean c F + mean c F'.
Proof. by rewrite /mean -big_split; apply: eq_bigr => x _; rewrite scalerDr. Qed.

Lemma mean_linear (V W : lmodType R) (f : {linear V -> W}) (F : T -> V) : mean c (fun x => f (F x)) = f (mean c F).
Proof. by rewrite /mean linear_sum; apply: eq_bigr => x _; rewrite linearZ. Qed.

Lemma mean_deviation (V : lmodType R) (F : T -> V) : mean c (fun x => F x - mean c F) = 0.
Proof. by rewrite mean_add mean_const subrr. Qed.
End Means.

Lemma outer_add (R : comRingType) d (x y : 'cV[R]_d) : outer (x + y) = outer x + (y *m x^T + x *m y^T) + outer y.
Proof. by rewrite /outer linearD mulmxDr !mulmxDl -!addrA. Qed.

Lemma outer_image (R : comRingType) d e (A : 'M[R]_(e, d)) (x : 'cV[R]_d) : outer (A *m x) = A *m outer x *m A^T.
Proof. by rewrite /outer trmx_mul !mulmxA. Qed.

(** E (x + Y)(x + Y)^T = x x^T + E Y Y^T where E Y = 0. *)
Lemma mean_outer (R : realFieldType) (T : finType) (c : T -> R) d (x : 'cV[R]_d) (Y : T -> 'cV[R]_d) :
  \sum_t c t = 1 -> mean c Y = 0 -> mean c (fun t => outer (x + Y t)) = outer x + mean c (fun t => outer (Y t)).
Proof.
move=> c1 Y0; rewrite (eq_mean _ (fun t => outer_add x (Y t))) !mean_add (mean_const c1).
rewrite (mean_linear c [linear of mulmxr x^T]) (mean_linear c [linear of mulmx x \o trmx]) /= Y0.
by rewrite mul0mx trmx0 mulmx0 !addr0.
Qed.

(** ** The model, and its gradient at given weights *)

Section Regression.
Variables (R : realFieldType) (n d e : nat) (p : law R n).
Variables (H : 'I_n -> 'M[R]_(e, d)) (k : 'I_n -> 'cV[R]_e).
Variables (U : nat -> 'M[R]_d) (q : nat -> 'cV[R]_d) (K : nat -> 'M[R]_(d, e)) (s0 : 'cV[R]_d).
Implicit Types (s m : 'cV[R]_d) (C : 'M[R]_d).

Definition gradient i s := H i *m s - k i.
Definition mean_gradient s := mean p (gradient ^~ s).
Definition mean_hessian := mean p H.

(** Cov_i g_i(s), the covariance of the gradient of one example. *)
Definition noise s := mean p (fun i => outer (gradient i s - mean_gradient s)).

Lemma mean_gradientE s : mean_gradient s = mean_hessian *m s - mean p k.
Proof. by rewrite /mean_gradient mean_add (mean_linear p [linear of mulmxr s]) (mean_linear p [linear of -%R]). Qed.

Lemma mean_gradient_difference s m : mean_gradient s - mean_gradient m = mean_hessian *m (s - m).
Proof. by rewrite !mean_gradientE mulmxBr opprB addrA subrK. Qed.

Section Sampling.
Variable S : sampling p.

Definition batch_gradient (B : S) s := mean (weight B) (gradient ^~ s).

Lemma entry_of_mean (T : finType) (c : T -> R) f g (F : T -> 'M[R]_(f, g)) i j : mean c F i j = \sum_x c x * F x i j.
Proof. by rewrite summxE; apply: eq_bigr => x _; rewrite mxE. Qed.

Lemma batch_gradient_mean s : mean (@chance _ _ _ S) (batch_gradient ^~ s) = mean_gradient s.
Proof.
apply/colP => i; rewrite !entry_of_mean; apply: etrans (mean_of_batch_mean S (fun l => gradient l s i 0)).
by apply: eq_bigr => B _; rewrite entry_of_mean.
Qed.

(** The sampling factor, for every pair of entries. *)
Lemma batch_gradient_covariance s :
  mean (@chance _ _ _ S) (fun B => outer (batch_gradient B s - mean_gradient s)) = factor S *: noise s.
Proof.
have entry (x : 'cV[R]_e) i j : outer x i j = x i 0 * x j 0 by rewrite mxE big_ord1 mxE.
have minus (x y : 'cV[R]_e) i : (x - y) i 0 = x i 0 - y i 0 by rewrite !mxE.
apply/matrixP => i j; rewrite mxE !entry_of_mean; apply: etrans (etrans (sampling_factor S _ _) _).
  by apply: eq_bigr => B _; rewrite entry !minus !entry_of_mean.
by congr (_ * _); apply: eq_bigr => l _; rewrite entry !minus !entry_of_mean.
Qed.

(** ** Expectations over the batches of t steps *)

Definition next t (B : S) s := U t *m s + q t + K t *m batch_gradient B s.

(** E F(s_t): the last batch is drawn when the state is s_{t-1}, independently of what it is. *)
Fixpoint E (V : lmodType R) t (F : 'cV_d -> V) : V :=
  if t is r.+1 then E r (fun s => mean (@chance _ _ _ S) (fun B => F (next r B s))) else F s0.

Lemma eq_E (V : lmodType R) t (F F' : 'cV_d -> V) : F =1 F' -> E t F = E t F'.
Proof.
elim: t F F' => [|t IH] F F' FF' /=; first exact: FF'.
by apply: IH => s; apply: eq_mean => B.
Qed.

Lemma E_const (V : lmodType R) t (v : V) : E t (fun _ => v) = v.
Proof.
elim: t => [|t IH] //=; rewrite -[RHS]IH; apply: eq_E => s.
exact/mean_const/chance_sum.
Qed.

Lemma E_add (V : lmodType R) t (F F' : 'cV_d -> V) : E t (fun s => F s + F' s) = E t F + E t F'.
Proof. by elim: t F F' => [|t IH] F F' //=; rewrite -IH; apply: eq_E => s; exact: mean_add. Qed.

Lemma E_linear (V W : lmodType R) (f : {linear V -> W}) t (F : 'cV_d -> V) : E t (fun s => f (F s)) = f (E t F).
Proof. by elim: t F => [|t IH] F //=; rewrite -IH; apply: eq_E => s; exact: mean_linear. Qed.

Lemma E_mean (V : lmodType R) t (F : 'I_n -> 'cV_d -> V) :
  E t (fun s => mean p (F ^~ s)) = mean p (fun i => E t (F i)).
Proof.
elim: t F => [|t IH] F //=; rewrite -IH; apply: eq_E => s.
rewrite /mean; under eq_bigr do rewrite scaler_sumr.
rewrite exchange_big; apply: eq_bigr => i _; rewrite scaler_sumr; apply: eq_bigr => B _.
by rewrite !scalerA mulrC.
Qed.

Lemma E_outer t f (x : 'cV[R]_f) (Y : 'cV_d -> 'cV[R]_f) :
  E t Y = 0 -> E t (fun s => outer (Y s + x)) = E t (fun s => outer (Y s)) + outer x.
Proof.
move=> Y0; rewrite (eq_E t (fun s => outer_add (Y s) x)) !E_add E_const.
rewrite (E_linear [linear of mulmx x \o trmx]) (E_linear [linear of mulmxr x^T]) /= Y0.
by rewrite mul0mx trmx0 mulmx0 !addr0.
Qed.

Definition mean_state t := E t id.
Definition covariance_of_state t := E t (fun s => outer (s - mean_state t)).

Lemma E_deviation t : E t (fun s => s - mean_state t) = 0.
Proof. by rewrite E_add E_const subrr. Qed.

(** (3) and (4): E (H_i - H) C (H_i - H)^T, with C = Cov(s_t), is what the spread of the state adds to the noise. *)
Definition spread C := mean p (fun i => (H i - mean_hessian) *m C *m (H i - mean_hessian)^T).

Lemma E_noise t : E t noise = spread (covariance_of_state t) + noise (mean_state t).
Proof.
set m := mean_state t; rewrite /noise E_mean -mean_add; apply: eq_mean => i.
rewrite (eq_E t (F' := fun s => outer ((H i - mean_hessian) *m (s - m) + (gradient i m - mean_gradient m)))) => [|s].
  rewrite E_outer; first by under eq_E do rewrite outer_image; rewrite (E_linear [linear of mulmxr _ \o mulmx _]).
  by rewrite (E_linear [linear of mulmx _]) /= E_deviation mulmx0.
rewrite mulmxBl -mean_gradient_difference mulmxBr /gradient; congr outer.
move: (H i *m s) (H i *m m) (k i) (mean_gradient s) (mean_gradient m) => a b c x y.
by apply/colP => j; rewrite !mxE; ring.
Qed.

(** ** One step: any affine image P s + r + Q G of the state and the batch's gradient *)

Section Image.
Variables (f t : nat) (P : 'M[R]_(f, d)) (r : 'cV[R]_f) (Q : 'M[R]_(f, e)).

Definition E_image (V : lmodType R) (F : 'cV_f -> V) :=
  E t (fun s => mean (@chance _ _ _ S) (fun B => F (P *m s + r + Q *m batch_gradient B s))).
Definition mean_image := E_image id.
Definition covariance_of_image := E_image (fun x => outer (x - mean_image)).

Lemma mean_imageE : mean_image = P *m mean_state t + r + Q *m mean_gradient (mean_state t).
Proof.
rewrite /mean_image /E_image.
transitivity (E t (fun s => (P + Q *m mean_hessian) *m s + (r - Q *m mean p k))).
  apply: eq_E => s; rewrite mean_add (mean_const (chance_sum S)) (mean_linear _ [linear of mulmx Q]).
  by rewrite /= batch_gradient_mean mean_gradientE mulmxBr mulmxA mulmxDl addrACA.
rewrite E_add E_const (E_linear [linear of mulmx _]) /= -/(mean_state t).
by rewrite mean_gradientE mulmxBr mulmxA mulmxDl addrACA.
Qed.

(** (1) and (2). *)
Lemma covariance_of_imageE : let T := P + Q *m mean_hessian in
  covariance_of_image = T *m covariance_of_state t *m T^T
    + factor S *: (Q *m (spread (covariance_of_state t) + noise (mean_state t)) *m Q^T).
Proof.
move=> T; rewrite -E_noise /covariance_of_image /E_image mean_imageE; set m := mean_state t.
transitivity (E t (fun s => T *m outer (s - m) *m T^T + factor S *: (Q *m noise s *m Q^T))).
  apply: eq_E => s; pose Y (B : S) := Q *m (batch_gradient B s - mean_gradient s).
  rewrite (eq_mean _ (F' := fun B => outer (T *m (s - m) + Y B))) => [|B].
    rewrite mean_outer ?chance_sum ?outer_image //.
      congr (_ + _); rewrite (eq_mean _ (fun B => outer_image _ _)) (mean_linear _ [linear of mulmxr _ \o mulmx _]) /=.
      by rewrite batch_gradient_covariance -scalemxAr -scalemxAl.
    rewrite (mean_linear _ [linear of mulmx Q]) /= -(batch_gradient_mean s) mean_deviation ?mulmx0 //.
    exact: chance_sum.
  congr outer; rewrite /Y /T mulmxDl -mulmxA -mean_gradient_difference !mulmxBr.
  move: (P *m s) (P *m m) (Q *m batch_gradient B s) (Q *m mean_gradient s) (Q *m mean_gradient m) => a b c x y.
  by apply/colP => j; rewrite !mxE; ring.
rewrite E_add (E_linear [linear of mulmxr _ \o mulmx _]) /=; congr (_ + _).
by rewrite (E_linear [linear of *:%R (factor S) \o (mulmxr Q^T \o mulmx Q)]).
Qed.

Lemma E_image_add (V : lmodType R) (F F' : 'cV_f -> V) : E_image (fun x => F x + F' x) = E_image F + E_image F'.
Proof. by rewrite /E_image -E_add; apply: eq_E => s; exact: mean_add. Qed.

Lemma E_image_const (V : lmodType R) (v : V) : E_image (fun _ => v) = v.
Proof. by rewrite -[RHS](E_const t); apply: eq_E => s; exact/mean_const/chance_sum. Qed.

Lemma E_image_linear (V W : lmodType R) (g : {linear V -> W}) (F : 'cV_f -> V) :
  E_image (fun x => g (F x)) = g (E_image F).
Proof. by rewrite /E_image -E_linear; apply: eq_E => s; exact: mean_linear. Qed.

(** E x x^T = Cov(x) + E x (E x)^T. *)
Lemma second_moment_of_image : E_image (@outer R f) = covariance_of_image + outer mean_image.
Proof.
set m := mean_image; have deviation : E_image (fun x => x - m) = 0 by rewrite E_image_add E_image_const subrr.
transitivity (E_image (fun x => outer (x - m) + (m *m (x - m)^T + (x - m) *m m^T) + outer m)).
  by apply: eq_E => s; apply: eq_mean => B; rewrite -outer_add subrK.
rewrite !E_image_add E_image_const.
rewrite (E_image_linear [linear of mulmx m \o trmx]) (E_image_linear [linear of mulmxr m^T]) /= deviation.
by rewrite mul0mx trmx0 mulmx0 !addr0.
Qed.
End Image.

Lemma mean_state_next t : mean_state t.+1 = U t *m mean_state t + q t + K t *m mean_gradient (mean_state t).
Proof. exact: (mean_imageE t (U t) (q t) (K t)). Qed.

Lemma covariance_of_state_next t : let T := U t + K t *m mean_hessian in
  covariance_of_state t.+1 = T *m covariance_of_state t *m T^T
    + factor S *: (K t *m (spread (covariance_of_state t) + noise (mean_state t)) *m (K t)^T).
Proof. exact: (covariance_of_imageE t (U t) (q t) (K t)). Qed.
End Sampling.

(** ** The polynomials, which know nothing of the way of sampling *)

Fixpoint path t := if t is r.+1 then U r *m path r + q r + K r *m mean_gradient (path r) else s0.

Definition step_of_covariance f t (P : 'M[R]_(f, d)) (Q : 'M[R]_(f, e)) (c : R) C :=
  (P + Q *m mean_hessian) *m C *m (P + Q *m mean_hessian)^T + c *: (Q *m (spread C + noise (path t)) *m Q^T).

Fixpoint covariance t (c : R) := if t is r.+1 then step_of_covariance r (U r) (K r) c (covariance r c) else 0.

Lemma mean_stateE S t : mean_state S t = path t.
Proof. by elim: t => [|t IH] //=; rewrite mean_state_next IH. Qed.

Lemma covariance_of_stateE S t : covariance_of_state S t = covariance t (factor S).
Proof.
elim: t => [|t IH]; first by rewrite /covariance_of_state /mean_state /= subrr /outer mul0mx.
by rewrite covariance_of_state_next IH mean_stateE.
Qed.

Lemma covariance_of_imageE_path S f t (P : 'M[R]_(f, d)) r (Q : 'M[R]_(f, e)) :
  covariance_of_image S t P r Q = step_of_covariance t P Q (factor S) (covariance t (factor S)).
Proof. by rewrite covariance_of_imageE covariance_of_stateE mean_stateE. Qed.

Lemma psd_mean d' (F : 'I_n -> 'M[R]_d') : (forall i, psd (F i)) -> psd (mean p F).
Proof. by move=> HF; apply: psd_sum => i; apply: psd_scale; first exact: prob_ge0. Qed.

Lemma spread_linear : linear spread.
Proof.
move=> a C D; rewrite /spread -(mean_linear p [linear of *:%R a]) -mean_add; apply: eq_mean => i.
by rewrite mulmxDr mulmxDl -scalemxAr -scalemxAl.
Qed.

Lemma psd_spread C : psd C -> psd (spread C).
Proof. by move=> HC; apply: psd_mean => i; exact: psd_image. Qed.

Lemma psd_noise s : psd (noise s).
Proof. by apply: psd_mean => i; exact: psd_outer. Qed.

(** (5): a step keeps polynomials with positive semi-definite coefficients, and raises the degree by 1. *)
Lemma step_of_psd_polynomial f t N (P : 'M[R]_(f, d)) (Q : 'M[R]_(f, e)) (C : R -> 'M[R]_d) :
  psd_polynomial N C -> psd_polynomial N.+1 (fun c => step_of_covariance t P Q c (C c)).
Proof.
move=> HC; apply: psd_polynomial_add.
  apply: (psd_polynomial_wider (leqnSn N)).
  by apply: (psd_polynomial_image (f := [linear of mulmxr _ \o mulmx _])) HC => M; exact: psd_image.
apply: psd_polynomial_times.
apply: (psd_polynomial_image (f := [linear of mulmxr _ \o mulmx _])) => [M|]; first exact: psd_image.
apply: psd_polynomial_add; first exact: (psd_polynomial_image (f := Linear spread_linear)) psd_spread HC.
by apply: (psd_polynomial_wider (leq0n N)); exact/psd_polynomial_const/psd_noise.
Qed.

Lemma covariance_polynomial t : psd_polynomial t (covariance t).
Proof.
elim: t => [|t IH]; first exact/psd_polynomial_const/psd_zero.
exact: step_of_psd_polynomial.
Qed.

Lemma covariance_without_noise t : covariance t 0 = 0.
Proof. by elim: t => [|t IH] //=; rewrite IH /step_of_covariance scale0r mulmx0 mul0mx addr0. Qed.

(** ** The theorem *)

(** var(A s_t). *)
Theorem variance_of_state f (A : 'M[R]_(f, d)) t : exists g : {poly R},
  [/\ nonnegative g, g`_0 = 0, (size g <= t.+1)%N &
      forall S, \tr (A *m covariance_of_state S t *m A^T) = g.[factor S]].
Proof.
have [g [g0 gs gE]] := trace_polynomial A (covariance_polynomial t).
exists g; split=> //; last by move=> S; rewrite covariance_of_stateE gE.
by rewrite -horner_coef0 -gE covariance_without_noise mulmx0 mul0mx mxtrace0.
Qed.

(** E F(G_t), G_t the gradient of the batch drawn after t steps; its mean and covariance. *)
Definition E_gradient S (V : lmodType R) t (F : 'cV_e -> V) : V :=
  E S t (fun s => mean (@chance _ _ _ S) (fun B => F (batch_gradient B s))).
Definition mean_of_gradient S t := E_gradient S t id.
Definition covariance_of_gradient S t := E_gradient S t (fun g => outer (g - mean_of_gradient S t)).

Lemma E_gradientE S (V : lmodType R) t (F : 'cV_e -> V) : E_gradient S t F = E_image S t 0 0 1%:M F.
Proof. by apply: eq_E => s; apply: eq_mean => B; rewrite mul0mx !add0r mul1mx. Qed.

Lemma covariance_of_gradientE S t :
  covariance_of_gradient S t = step_of_covariance t 0 1%:M (factor S) (covariance t (factor S)).
Proof.
by rewrite -(covariance_of_imageE_path S t 0 0) /covariance_of_gradient /mean_of_gradient !E_gradientE.
Qed.

(** var(A G_t). *)
Theorem variance_of_gradient f (A : 'M[R]_(f, e)) t : exists g : {poly R},
  [/\ nonnegative g, g`_0 = 0, (size g <= t.+2)%N &
      forall S, \tr (A *m covariance_of_gradient S t *m A^T) = g.[factor S]].
Proof.
have [g [g0 gs gE]] := trace_polynomial A (step_of_psd_polynomial t 0 1%:M (covariance_polynomial t)).
exists g; split=> //; last by move=> S; rewrite covariance_of_gradientE gE.
rewrite -horner_coef0 -gE covariance_without_noise.
by rewrite /step_of_covariance scale0r mulmx0 mul0mx addr0 mulmx0 mul0mx mxtrace0.
Qed.

(** E |G_t|^2. *)
Theorem second_moment_of_gradient t : exists g : {poly R},
  [/\ nonnegative g, (size g <= t.+2)%N & forall S, \tr (E_gradient S t (@outer R e)) = g.[factor S]].
Proof.
have [g [g0 _ gs gE]] := variance_of_gradient 1%:M t.
pose at_infinity := \tr (outer (mean_gradient (path t))).
exists (g + at_infinity%:P); split=> [j||S].
- by rewrite coefD coefC addr_ge0 //; case: ifP => // _; exact/psd_trace/psd_outer.
- by rewrite (leq_trans (size_add _ _)) // geq_max gs (leq_trans (size_polyC_leq1 _)).
rewrite hornerD hornerC -gE trmx1 mulmx1 mul1mx E_gradientE second_moment_of_image mxtraceD.
rewrite covariance_of_imageE_path covariance_of_gradientE mean_imageE mean_stateE.
by rewrite mul0mx !add0r mul1mx.
Qed.
End Regression.
