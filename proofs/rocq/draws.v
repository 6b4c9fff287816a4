(** * Moments of the mean of b squares of standard normal numbers (row "two-layers-one-step" of the ledger)

    What is used of independent draws z_0, z_1, ... of a standard normal law is [normal_draws]: the mean is linear on
    polynomials of the draws, the mean of a product of two of these, one of draws before some place and one of draws
    from there on, is the product of their means, and

        E z^(2k) = 1 * 3 * ... * (2k - 1).

    Then S, the mean of z^2 over b of them, has E S^k = prod_{i < k} (1 + 2 i u), u = 1/b, the [moment] of moments.v.
    What a mean is of functions that are no polynomials of the draws is left open. *)

From Coq Require Import Reals List Lra Lia FunctionalExtensionality.
From linvar Require Import moments.
Import ListNotations.
Open Scope R_scope.

(** ** Draws *)

(** The polynomials of some of the draws, as functions of the outcome. *)
Inductive polynomial {outcome} (z : nat -> outcome -> R) (some : nat -> Prop) : (outcome -> R) -> Prop :=
  | is_constant c : polynomial z some (fun _ => c)
  | is_draw i : some i -> polynomial z some (z i)
  | is_sum F G : polynomial z some F -> polynomial z some G -> polynomial z some (fun o => F o + G o)
  | is_product F G : polynomial z some F -> polynomial z some G -> polynomial z some (fun o => F o * G o).

Definition any (_ : nat) := True.

(** x (x + 2) (x + 4) ..., k factors. *)
Fixpoint rising x k := match k with O => 1 | S i => rising x i * (x + 2 * INR i) end.

Record normal_draws := {
  outcome : Type;
  z : nat -> outcome -> R;
  mean : (outcome -> R) -> R;
  mean_one : mean (fun _ => 1) = 1;
  mean_sum F G : polynomial z any F -> polynomial z any G -> mean (fun o => F o + G o) = mean F + mean G;
  mean_multiple c F : polynomial z any F -> mean (fun o => c * F o) = c * mean F;
  mean_independent m F G : polynomial z (fun i => (i < m)%nat) F -> polynomial z (fun i => (m <= i)%nat) G ->
    mean (fun o => F o * G o) = mean F * mean G;
  mean_even_power i k : mean (fun o => z i o ^ (2 * k)) = rising 1 k }.

Section Draws.
Variable D : normal_draws.
Notation polynomial := (polynomial (z D)).
Implicit Types F G : outcome D -> R.

Lemma polynomial_of_more (some others : nat -> Prop) F :
  (forall i, some i -> others i) -> polynomial some F -> polynomial others F.
Proof. intros H HF. induction HF; constructor; auto. Qed.

Lemma polynomial_any some F : polynomial some F -> polynomial any F.
Proof. apply polynomial_of_more. easy. Qed.

Lemma polynomial_power some F k : polynomial some F -> polynomial some (fun o => F o ^ k).
Proof. intros HF. induction k as [|k IH]; [exact (is_constant _ _ 1)|]. exact (is_product _ _ _ _ HF IH). Qed.

Lemma polynomial_multiple some c F : polynomial some F -> polynomial some (fun o => c * F o).
Proof. intros HF. apply is_product; [apply is_constant | exact HF]. Qed.

Ltac polynomials := (* a sum, product or power of functions that are assumed to be polynomials is one *)
  lazymatch goal with
  | |- draws.polynomial _ _ (fun o => @?F o + @?G o) => apply (is_sum _ _ F G); polynomials
  | |- draws.polynomial _ _ (fun o => @?F o * @?G o) => apply (is_product _ _ F G); polynomials
  | |- draws.polynomial _ _ (fun o => @?F o ^ ?k) => apply (polynomial_power _ F k); polynomials
  | |- _ => first [assumption | apply is_constant]
  end.

Lemma mean_constant c : mean D (fun _ => c) = c.
Proof.
  replace (fun _ => c) with (fun _ : outcome D => c * 1) by (apply functional_extensionality; intros; ring).
  rewrite (mean_multiple D c (fun _ => 1)) by apply is_constant. rewrite mean_one. ring.
Qed.

(** ** The sum of two independent draws, of the moments [rising x] and [rising y], has those of [rising (x + y)] *)

Lemma rising_first x k : x * rising (x + 2) k = rising x (S k).
Proof.
  induction k as [|k IH]; [simpl; ring|].
  replace (x * rising (x + 2) (S k)) with (x * rising (x + 2) k * (x + 2 + 2 * INR k)) by (simpl; ring).
  rewrite IH. change (rising x (S (S k))) with (rising x (S k) * (x + 2 * INR (S k))). rewrite S_INR. ring.
Qed.

Lemma mean_power_of_sum m F G x y :
  polynomial (fun i => (i < m)%nat) F -> polynomial (fun i => (m <= i)%nat) G ->
  (forall k, mean D (fun o => F o ^ k) = rising x k) -> (forall k, mean D (fun o => G o ^ k) = rising y k) ->
  forall k, mean D (fun o => (F o + G o) ^ k) = rising (x + y) k.
Proof.
  intros HF HG xE yE.
  (* with powers of the two in front of it: from k to k + 1 one of these grows *)
  assert (H : forall k i j,
    mean D (fun o => F o ^ i * G o ^ j * (F o + G o) ^ k)
    = rising x i * rising y j * rising (x + y + 2 * (INR i + INR j)) k).
  { assert (HF' := polynomial_any _ _ HF). assert (HG' := polynomial_any _ _ HG).
    intros k; induction k as [|k IH]; intros i j.
    - replace (fun o => F o ^ i * G o ^ j * (F o + G o) ^ 0) with (fun o => F o ^ i * G o ^ j)
        by (apply functional_extensionality; intros; ring).
      rewrite (mean_independent D m (fun o => F o ^ i) (fun o => G o ^ j)) by polynomials.
      rewrite xE, yE. simpl. ring.
    - replace (fun o => F o ^ i * G o ^ j * (F o + G o) ^ S k) with
        (fun o => F o ^ S i * G o ^ j * (F o + G o) ^ k + F o ^ i * G o ^ S j * (F o + G o) ^ k)
        by (apply functional_extensionality; intros; simpl; ring).
      rewrite mean_sum by polynomials.
      rewrite !IH, <- (rising_first (x + y + _)), !S_INR.
      replace (x + y + 2 * (INR i + 1 + INR j)) with (x + y + 2 * (INR i + INR j) + 2) by ring.
      replace (x + y + 2 * (INR i + (INR j + 1))) with (x + y + 2 * (INR i + INR j) + 2) by ring.
      change (rising x (S i)) with (rising x i * (x + 2 * INR i)).
      change (rising y (S j)) with (rising y j * (y + 2 * INR j)). ring. }
  intros k. replace (fun o => (F o + G o) ^ k) with (fun o => F o ^ 0 * G o ^ 0 * (F o + G o) ^ k)
    by (apply functional_extensionality; intros; simpl; ring).
  rewrite H. simpl. replace (x + y + 2 * (0 + 0)) with (x + y) by ring. ring.
Qed.

(** ** Batches: b draws from the one numbered m on *)

Fixpoint sum_over m b (f : R -> R) o :=
  match b with O => 0 | S c => sum_over m c f o + f (z D (m + c) o) end.
Definition mean_over m b f o := sum_over m b f o / INR b.

(** The mean of the squares. *)
Definition mean_square m b := mean_over m b (fun x => x ^ 2).

Lemma polynomial_sum_of_squares m b : polynomial (fun i => (m <= i < m + b)%nat) (sum_over m b (fun x => x ^ 2)).
Proof.
  induction b as [|b IH]; [exact (is_constant _ _ 0)|]. cbn [sum_over]. apply is_sum.
  - revert IH. apply polynomial_of_more. lia.
  - apply polynomial_power, is_draw. lia.
Qed.

Lemma polynomial_mean_square m b : polynomial (fun i => (m <= i < m + b)%nat) (mean_square m b).
Proof.
  unfold mean_square, mean_over. replace (fun o => _) with (fun o => / INR b * sum_over m b (fun x => x ^ 2) o)
    by (apply functional_extensionality; intros; unfold Rdiv; ring).
  apply polynomial_multiple, polynomial_sum_of_squares.
Qed.

Lemma mean_power_of_sum_of_squares m b k : mean D (fun o => sum_over m b (fun x => x ^ 2) o ^ k) = rising (INR b) k.
Proof.
  revert k. induction b as [|b IH]; intros k.
  - simpl. rewrite mean_constant. destruct k as [|k]; [reflexivity|]. rewrite <- rising_first. simpl. ring.
  - rewrite S_INR. cbn [sum_over]. apply (mean_power_of_sum (m + b)).
    + generalize (polynomial_sum_of_squares m b). apply polynomial_of_more. lia.
    + apply polynomial_power, is_draw. lia.
    + exact IH.
    + intros i. rewrite <- (mean_even_power D (m + b)). f_equal. apply functional_extensionality. intros o.
      now rewrite pow_mult.
Qed.

Lemma rising_is_moment b k : b <> 0 -> rising b k = b ^ k * moment k (/ b).
Proof. intros Hb. induction k as [|k IH]; simpl; [ring|]. rewrite IH. field. exact Hb. Qed.

Theorem moments_of_the_mean_of_squares m b k : (1 <= b)%nat ->
  mean D (fun o => mean_square m b o ^ k) = moment k (/ INR b).
Proof.
  intros Hb. assert (Hb0 : INR b <> 0) by (apply not_0_INR; lia).
  replace (fun o => mean_square m b o ^ k) with (fun o => (/ INR b) ^ k * sum_over m b (fun x => x ^ 2) o ^ k).
  - rewrite mean_multiple, mean_power_of_sum_of_squares, rising_is_moment by
      (try exact Hb0; eapply polynomial_any, polynomial_power, polynomial_sum_of_squares).
    rewrite <- Rmult_assoc, <- Rpow_mult_distr, Rinv_l by exact Hb0. rewrite pow1. ring.
  - apply functional_extensionality. intros o. rewrite <- Rpow_mult_distr. f_equal.
    unfold mean_square, mean_over, Rdiv. ring.
Qed.

(** ** Polynomials in S: E and var of moments.v *)

Fixpoint value (g : list R) S := match g with [] => 0 | c :: h => c + S * value h S end.

Lemma polynomial_value some F g : polynomial some F -> polynomial some (fun o => value g (F o)).
Proof.
  intros HF. induction g as [|c h IH]; [exact (is_constant _ _ 0)|].
  apply is_sum; [apply is_constant | exact (is_product _ _ _ _ HF IH)].
Qed.

Lemma mean_of_value m b g : (1 <= b)%nat -> mean D (fun o => value g (mean_square m b o)) = E g (/ INR b).
Proof.
  intros Hb. assert (H := polynomial_any _ _ (polynomial_mean_square m b)). unfold E.
  replace (fun o => value g (mean_square m b o)) with (fun o => mean_square m b o ^ 0 * value g (mean_square m b o))
    by (apply functional_extensionality; intros; ring).
  generalize O. induction g as [|c h IH]; intros k.
  - replace (fun o => _) with (fun _ : outcome D => 0) by (apply functional_extensionality; intros; simpl; ring).
    apply mean_constant.
  - replace (fun o => _) with
      (fun o => c * mean_square m b o ^ k + mean_square m b o ^ S k * value h (mean_square m b o))
      by (apply functional_extensionality; intros; simpl; ring).
    rewrite mean_sum; [| now apply polynomial_multiple, polynomial_power |].
    + rewrite mean_multiple by now apply polynomial_power.
      rewrite (moments_of_the_mean_of_squares m b k Hb), IH. reflexivity.
    + apply is_product; [now apply polynomial_power | now apply polynomial_value].
Qed.

Lemma value_plus g h S : value (plus g h) S = value g S + value h S.
Proof. revert h. induction g as [|c g IH]; intros [|d h]; simpl; try rewrite IH; ring. Qed.

Lemma value_times a g S : value (times a g) S = a * value g S.
Proof. unfold times. induction g as [|c g IH]; simpl; [ring|]. rewrite IH. ring. Qed.

Lemma value_product g h S : value (product g h) S = value g S * value h S.
Proof.
  induction g as [|c g IH]; simpl; [ring|]. rewrite value_plus, value_times. simpl. rewrite IH. ring.
Qed.

(** The variance of a random number. *)
Definition variance_of F := mean D (fun o => F o ^ 2) - mean D F ^ 2.

(** The two batches of b draws each do not overlap. *)
Theorem variance_of_a_product b g c : (1 <= b)%nat ->
  variance_of (fun o => c * (mean_square b b o * value g (mean_square 0 b o))) = c ^ 2 * var g (/ INR b).
Proof.
  intros Hb. unfold variance_of, var.
  assert (first : polynomial (fun i => (i < b)%nat) (mean_square 0 b)).
  { generalize (polynomial_mean_square 0 b). apply polynomial_of_more. lia. }
  assert (second : polynomial (fun i => (b <= i)%nat) (mean_square b b)).
  { generalize (polynomial_mean_square b b). apply polynomial_of_more. lia. }
  assert (product_of : forall k h,
    mean D (fun o => mean_square b b o ^ k * value h (mean_square 0 b o)) = moment k (/ INR b) * E h (/ INR b)).
  { intros k h. replace (fun o => _) with (fun o => value h (mean_square 0 b o) * mean_square b b o ^ k)
      by (apply functional_extensionality; intros; ring).
    rewrite (mean_independent D b (fun o => value h (mean_square 0 b o)) (fun o => mean_square b b o ^ k));
      [| now apply polynomial_value | now apply polynomial_power].
    rewrite (moments_of_the_mean_of_squares b b k Hb), mean_of_value by exact Hb. ring. }
  assert (whole : forall k h, polynomial any (fun o => mean_square b b o ^ k * value h (mean_square 0 b o))).
  { intros k h. apply is_product; [eapply polynomial_any, polynomial_power, second |].
    eapply polynomial_any, polynomial_value, first. }
  replace (fun o => (c * (mean_square b b o * value g (mean_square 0 b o))) ^ 2) with
    (fun o => c ^ 2 * (mean_square b b o ^ 2 * value (product g g) (mean_square 0 b o)))
    by (apply functional_extensionality; intros; rewrite value_product; ring).
  replace (fun o => c * (mean_square b b o * value g (mean_square 0 b o))) with
    (fun o => c * (mean_square b b o ^ 1 * value g (mean_square 0 b o)))
    by (apply functional_extensionality; intros; ring).
  rewrite !mean_multiple by apply whole. rewrite !product_of. ring.
Qed.
End Draws.
