(** * Hence the variance falls with the batch size, or does not depend on it (row "regression" of the ledger)

    What regression.v says of polynomials in the sampling factor, said of batch sizes; and that SGD, momentum, Nesterov
    and weight decay are steps of the kind that it takes. *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
From linvar Require Import sampling psd regression.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section Falls.
Variables (R : realFieldType) (n d e : nat).
Variables (H : 'I_n -> 'M[R]_(e, d)) (k : 'I_n -> 'cV[R]_e).
Variables (U : nat -> 'M[R]_d) (q : nat -> 'cV[R]_d) (K : nat -> 'M[R]_(d, e)) (s0 : 'cV[R]_d).

(** A number for each way of sampling: the same for all, or smaller where the factor is. *)
Definition falls_or_constant (p : law R n) (v : sampling p -> R) :=
  (forall S S', v S = v S') \/ (forall S S', factor S' < factor S -> v S' < v S).

Lemma polynomial_falls (p : law R n) (v : sampling p -> R) (g : {poly R}) :
  nonnegative g -> (forall S, v S = g.[factor S]) -> falls_or_constant v.
Proof.
move=> g0 vE; have [const|increases] := nonnegative_increases g0; [left|right] => S S'.
  by rewrite !vE !const.
by move=> smaller; rewrite !vE increases // factor_ge0.
Qed.

Theorem state_falls (p : law R n) f (A : 'M[R]_(f, d)) t :
  falls_or_constant (fun S : sampling p => \tr (A *m covariance_of_state H k U q K s0 S t *m A^T)).
Proof. by have [g [g0 _ _ gE]] := variance_of_state p H k U q K s0 A t; exact: polynomial_falls gE. Qed.

Theorem gradient_falls (p : law R n) f (A : 'M[R]_(f, e)) t :
  falls_or_constant (fun S : sampling p => \tr (A *m covariance_of_gradient H k U q K s0 S t *m A^T)).
Proof. by have [g [g0 _ _ gE]] := variance_of_gradient p H k U q K s0 A t; exact: polynomial_falls gE. Qed.

Theorem second_moment_falls (p : law R n) t :
  falls_or_constant (fun S : sampling p => \tr (E_gradient H k U q K s0 S t (@outer R e))).
Proof. by have [g [g0 _ gE]] := second_moment_of_gradient p H k U q K s0 t; exact: polynomial_falls gE. Qed.
End Falls.

(** What this says of batch sizes b < b': with independent draws ... *)
Theorem falls_with_independent_draws (R : realFieldType) n (p : law R n) (v : sampling p -> R) :
  falls_or_constant v ->
  (forall S S', v S = v S') \/
  (forall b b' (b0 : (0 < b)%N) (b'0 : (0 < b')%N), (b < b')%N -> v (iid p b'0) < v (iid p b0)).
Proof. by case=> [|falls]; [left|right=> b b' b0 b'0 bb'; apply: falls; exact: iid_factor_falls]. Qed.

(** ... and with subsets of a data set. *)
Theorem falls_without_replacement (R : realFieldType) n (n0 : (0 < n)%N) (v : sampling (uniform R n0) -> R) :
  falls_or_constant v ->
  (forall S S', v S = v S') \/
  (forall b b' (b0 : (0 < b)%N) (bn : (b <= n)%N) (b'0 : (0 < b')%N) (b'n : (b' <= n)%N), (b < b')%N ->
    v (without_replacement R n0 b'0 b'n) < v (without_replacement R n0 b0 bn)).
Proof. by case=> [|falls]; [left|right=> b b' b0 bn b'0 b'n bb'; apply: falls; exact: subset_factor_falls]. Qed.

(** ** SGD, momentum, Nesterov and weight decay are steps of this kind

    g is the batch's gradient.  Plain SGD moves the weights w to w - a g.  With momentum the state is w over a velocity
    v, whose next value is v' = g + decay w + momentum v; then w' = w - a v', or Nesterov's
    w - a (g + decay w + momentum v'). *)

Section Momentum.
Variables (R : realFieldType) (P : nat) (a decay momentum : R).
Implicit Types w v g : 'cV[R]_P.

Proposition sgd_is_a_step w g : w - a *: g = 1%:M *m w + 0 + (- a)%:M *m g.
Proof. by rewrite mul1mx addr0 mul_scalar_mx scaleNr. Qed.

Definition next_velocity w v g := g + decay *: w + momentum *: v.

Proposition momentum_is_a_step w v g :
  col_mx (w - a *: next_velocity w v g) (next_velocity w v g)
  = block_mx (1 - a * decay)%:M (- (a * momentum))%:M decay%:M momentum%:M *m col_mx w v
    + 0 + col_mx (- a)%:M 1%:M *m g.
Proof.
rewrite /next_velocity mul_block_col mul_col_mx addr0 add_col_mx !mul_scalar_mx scale1r; congr col_mx.
  by apply/colP => i; rewrite !mxE; move: (w i _) (v i _) (g i _) => x y z; ring.
by rewrite -addrA addrC.
Qed.

Proposition nesterov_is_a_step w v g :
  col_mx (w - a *: (g + decay *: w + momentum *: next_velocity w v g)) (next_velocity w v g)
  = block_mx (1 - a * (1 + momentum) * decay)%:M (- (a * momentum ^+ 2))%:M decay%:M momentum%:M *m col_mx w v
    + 0 + col_mx (- (a * (1 + momentum)))%:M 1%:M *m g.
Proof.
rewrite /next_velocity mul_block_col mul_col_mx addr0 add_col_mx !mul_scalar_mx scale1r; congr col_mx.
  by apply/colP => i; rewrite !mxE; move: (w i _) (v i _) (g i _) => x y z; ring.
by rewrite -addrA addrC.
Qed.

(** The gradient of an example is affine in that state, too. *)
Proposition gradient_of_the_weights (H : 'M[R]_P) w v : row_mx H 0 *m col_mx w v = H *m w.
Proof. by rewrite mul_row_col mul0mx addr0. Qed.
End Momentum.
