(** * Two layers, one step: the variance falls with the batch size (row "two-layers-one-step" of the ledger)

    A linear network with one input, h hidden units and one output: unit i has a weight v_i before it and w_i behind it,
    and the network maps x to (sum_i w_i v_i) x.  Inputs are normal with mean 0 and variance s, targets are teacher * x
    without noise, the loss of an example is 1/2 (output - target)^2.  With s S the mean of x^2 over a batch of b (so S
    is that of moments.v) and e = sum_i w_i v_i - teacher, the batch's gradients are

        w_i e s S  for v_i,     v_i e s S  for w_i.

    One step of rate a is taken, then the gradient of a fresh batch is measured: S' is independent of S.  The sum of the
    variances of its entries is a polynomial in u = 1/b, [variance].  For all weights, teachers, rates and variances s
    it is zero for every u, or strictly decreasing at b = 1, 2, 3, ... ([two_layers_one_step]).  That it is this
    variance, from the examples on, is in two_layers_run.v. *)

From Coq Require Import Reals List Lra Field Lia.
From linvar Require Import moments two_layers_slope.
Import ListNotations.
Open Scope R_scope.

(** ** The network and its variance *)

Section Network.
Variables (s teacher a : R).
Variable units : list (R * R). (* (v_i, w_i) *)

Definition total (g : R * R -> R) (l : list (R * R)) := fold_right (fun x sum => g x + sum) 0 l.
Definition end_to_end l := total (fun x => fst x * snd x) l.
Definition square_norm l := total (fun x => fst x ^ 2 + snd x ^ 2) l.

Definition error := end_to_end units - teacher.
Definition kappa := a * (error * s).

(** A weight after the step, a polynomial in S; its partner is the other weight of the unit. *)
Definition stepped k weight partner := [weight; - k * partner].

(** The error after the step, by summing over the units. *)
Fixpoint error_after k (l : list (R * R)) :=
  match l with
  | [] => [- teacher]
  | (v, w) :: l' => plus (product (stepped k v w) (stepped k w v)) (error_after k l')
  end.

(** The entries of the next gradient are s S' times polynomials in S; their variances. *)
Definition variance_of_entry weight partner u :=
  s ^ 2 * var (product (stepped kappa weight partner) (error_after kappa units)) u.

Definition variance u :=
  total (fun x => variance_of_entry (snd x) (fst x) u + variance_of_entry (fst x) (snd x) u) units.

(** ** The error after the step is e (1 - tau S + (rho tau/2) S^2) *)

Lemma three_equal (x y z x' y' z' : R) : x = x' -> y = y' -> z = z' -> [x; y; z] = [x'; y'; z'].
Proof. now intros -> -> ->. Qed.

Lemma error_afterE k l : l <> [] ->
  error_after k l = [end_to_end l - teacher; - k * square_norm l; k ^ 2 * end_to_end l].
Proof.
  induction l as [|[v w] l IH]; [easy|]. intros _. destruct l as [|x l].
  - unfold error_after, end_to_end, square_norm, total. simpl. apply three_equal; ring.
  - cbn [error_after] in IH |- *. fold (error_after k (x :: l)). rewrite IH by easy.
    unfold end_to_end, square_norm, total. simpl. apply three_equal; ring.
Qed.

(** ** The variance of an entry is a quadratic form in its two weights *)

Definition covariance g h u := moment 2 u * E (product g h) u - moment 1 u * E g u * (moment 1 u * E h u).

Lemma quadratic_form x y c0 c1 c2 u : let c := [c0; c1; c2] in
  var (product [x; y] c) u = x ^ 2 * var c u + 2 * (x * y) * covariance c (0 :: c) u + y ^ 2 * var (0 :: c) u.
Proof. unfold var, covariance, E. simpl. ring. Qed.

Lemma eq_total g h l : (forall x, g x = h x) -> total g l = total h l.
Proof. intros gh. induction l as [|x l IH]; simpl; [reflexivity|]. now rewrite gh, IH. Qed.

(** Summed over the units, they depend on the weights by two numbers. *)
Lemma total_of_forms A B C k l (form := fun x y => x ^ 2 * A + 2 * (x * (- k * y)) * B + (- k * y) ^ 2 * C) :
  total (fun x => form (snd x) (fst x) + form (fst x) (snd x)) l
  = square_norm l * A - 4 * k * end_to_end l * B + k ^ 2 * square_norm l * C.
Proof.
  unfold form, square_norm, end_to_end.
  induction l as [|[v w] l IH]; simpl in *; [ring | rewrite IH; ring].
Qed.

Lemma varianceE u (c := [error; - kappa * square_norm units; kappa ^ 2 * end_to_end units]) : units <> [] ->
  variance u = square_norm units * (s ^ 2 * var c u) - 4 * kappa * end_to_end units * (s ^ 2 * covariance c (0 :: c) u)
    + kappa ^ 2 * square_norm units * (s ^ 2 * var (0 :: c) u).
Proof.
  intros Hunits. rewrite <- total_of_forms. apply eq_total. intros [v w]. unfold variance_of_entry.
  rewrite error_afterE by exact Hunits. unfold stepped. fold error. unfold c. rewrite !quadratic_form. simpl. ring.
Qed.

Lemma end_to_end_bound l : - square_norm l <= 2 * end_to_end l <= square_norm l.
Proof.
  unfold square_norm, end_to_end. induction l as [|[v w] l IH]; simpl in *; [lra|].
  pose proof (square_ge0 (v + w)). pose proof (square_ge0 (v - w)).
  replace ((v + w) ^ 2) with (v * (v * 1) + w * (w * 1) + 2 * (v * w)) in * by ring.
  replace ((v - w) ^ 2) with (v * (v * 1) + w * (w * 1) - 2 * (v * w)) in * by ring. lra.
Qed.

(** ** The reduction to V0 and V1 *)

Definition rho := 2 * kappa * end_to_end units / square_norm units.
Definition tau := a * s * square_norm units.
Definition delta := kappa ^ 2 - rho ^ 2.

Theorem reduction u : square_norm units <> 0 ->
  variance u = s ^ 2 * error ^ 2 * square_norm units * (V0 rho tau u + delta * V1 rho tau u).
Proof.
  intros Hq. assert (Hunits : units <> []) by (intros H; apply Hq; rewrite H; reflexivity).
  rewrite varianceE by exact Hunits. unfold V0, V1, g0, g1, f. rewrite !quadratic_form.
  assert (Hrho : rho * square_norm units = 2 * kappa * end_to_end units) by (unfold rho; field; exact Hq).
  replace [error; - kappa * square_norm units; kappa ^ 2 * end_to_end units] with
    (map (Rmult error) [1; - tau; rho * tau / 2]).
  - replace (4 * kappa * end_to_end units) with (2 * (rho * square_norm units)) by lra.
    unfold delta, var, covariance, E. simpl. field.
  - simpl. apply three_equal; [ring | unfold tau, kappa; ring |].
    replace (error * (rho * tau / 2)) with (error * (a * s) * (rho * square_norm units) / 2) by (unfold tau; field).
    rewrite Hrho. unfold kappa. field.
Qed.

Lemma delta_ge0 : square_norm units <> 0 -> 0 <= delta.
Proof.
  intros Hq. pose proof (end_to_end_bound units) as Hp. set (q := square_norm units) in *.
  replace delta with (kappa ^ 2 * ((q - 2 * end_to_end units) * (q + 2 * end_to_end units)) / q ^ 2).
  - assert (0 < q ^ 2) by (rewrite <- Rsqr_pow2; apply Rsqr_pos_lt, Hq).
    apply Rmult_le_pos; [|apply Rlt_le, Rinv_0_lt_compat; assumption].
    apply Rmult_le_pos; [apply square_ge0 | apply Rmult_le_pos; lra].
  - unfold delta, rho. fold q. field. exact Hq.
Qed.

(** ** Where it is zero for every u *)

Lemma variance_zero u : s ^ 2 * error ^ 2 * square_norm units = 0 -> variance u = 0.
Proof.
  intros Hzero. assert (units = [] \/ units <> []) as [Hunits|Hunits] by (destruct units; [now left | now right]).
  { unfold variance. rewrite Hunits. reflexivity. }
  rewrite varianceE by exact Hunits. pose proof (end_to_end_bound units) as Hp.
  destruct (Rmult_integral _ _ Hzero) as [Hse|Hq].
  - destruct (Rmult_integral _ _ Hse) as [Hs|He]; [rewrite Hs; ring|].
    assert (He0 : error = 0) by (apply Rmult_integral in He; destruct He as [He|He]; lra).
    unfold kappa. rewrite He0. unfold var, covariance, E. simpl. ring.
  - rewrite Hq in *. replace (end_to_end units) with 0 by lra. ring.
Qed.
End Network.

(** ** The theorem *)

Theorem two_layers_one_step s teacher a units :
  (forall u, variance s teacher a units u = 0) \/
  (forall b, (1 <= b)%nat ->
    variance s teacher a units (/ INR (S b)) < variance s teacher a units (/ INR b)).
Proof.
  set (scale := s ^ 2 * error teacher units ^ 2 * square_norm units).
  destruct (Req_dec scale 0) as [Hzero|Hscale]; [left; intros u; now apply variance_zero | right].
  intros b Hb.
  assert (Hq : square_norm units <> 0) by (intros H; apply Hscale; unfold scale; rewrite H; ring).
  pose proof (lt_0_INR b) as Hb0. assert (0 < INR b) by (apply Hb0; lia).
  rewrite !reduction by exact Hq. apply Rmult_lt_compat_l.
  - assert (0 <= scale).
    { apply Rmult_le_pos; [apply Rmult_le_pos; apply square_ge0|].
      pose proof (end_to_end_bound units). lra. }
    fold scale. lra.
  - apply increases; [apply delta_ge0, Hq | apply Rinv_0_lt_compat, lt_0_INR; lia |].
    apply Rinv_lt_contravar; [apply Rmult_lt_0_compat; [assumption | apply lt_0_INR; lia] | apply lt_INR; lia].
Qed.
