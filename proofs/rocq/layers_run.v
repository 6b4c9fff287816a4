(** * Up to four layers of width 1, one step: from the examples on (row "one-input" of the ledger)

    The network maps x to w_1 ... w_L x, inputs are x = r z with z one of the draws of draws.v, targets teacher * x,
    and the loss of an example is 1/2 (output - target)^2.  A step of rate a is taken with the mean gradient of the
    draws 0, ..., b - 1, and the gradient is measured with b, ..., 2 b - 1.  Up to L = 4 the sum of the variances of
    its entries is zero for every b, or strictly decreasing in b. *)

From Coq Require Import Reals List Lra Lia FunctionalExtensionality.
From linvar Require Import moments draws one_input.
Import ListNotations.
Open Scope R_scope.

(** ** One example *)

Definition end_to_end (weights : list R) := fold_right Rmult 1 weights.
Definition without {A} l (list : list A) := firstn l list ++ skipn (S l) list.
Definition residual teacher weights x := end_to_end weights * x - teacher * x.
Definition loss teacher weights x := / 2 * residual teacher weights x ^ 2.

(** By the weight numbered l. *)
Definition gradient teacher weights l x := residual teacher weights x * (end_to_end (without l weights) * x).

Lemma end_to_end_app before after : end_to_end (before ++ after) = end_to_end before * end_to_end after.
Proof. unfold end_to_end. induction before as [|v before IH]; simpl in *; [ring|]. rewrite IH. ring. Qed.

Lemma without_app {A} (before : list A) w after : without (length before) (before ++ w :: after) = before ++ after.
Proof.
  unfold without. induction before as [|v before IH]; [reflexivity|]. simpl in *. now rewrite IH.
Qed.

Theorem gradient_is_the_derivative teacher before w after x :
  derivable_pt_lim (fun w => loss teacher (before ++ w :: after) x) w
    (gradient teacher (before ++ w :: after) (length before) x).
Proof.
  set (d := end_to_end (before ++ after) * x).
  assert (H : forall y, residual teacher (before ++ y :: after) x = - (teacher * x) + d * y).
  { intros y. unfold residual, d. rewrite !end_to_end_app. simpl. ring. }
  unfold loss, gradient. rewrite without_app. fold d. rewrite H.
  replace (fun w => _) with (fun w => / 2 * (- (teacher * x) + d * w) ^ 2); [apply slope_of_a_square|].
  apply functional_extensionality. intros y. now rewrite H.
Qed.

(** ** A step, and the gradient of a fresh batch *)

Definition sum_over_layers (f : nat -> R) size := fold_right (fun l sum => f l + sum) 0 (seq 0 size).

Section Run.
Variables (D : normal_draws) (r teacher a : R) (weights : list R) (b : nat).
Let L := length weights.

Definition batch_gradient m ws l := mean_over D m b (fun z => gradient teacher ws l (r * z)).
Definition weights_after o := map (fun l => nth l weights 0 - a * batch_gradient 0 weights l o) (seq 0 L).
Definition measured l o := batch_gradient b (weights_after o) l o.
Definition variance_of_run := sum_over_layers (fun l => variance_of D (measured l)) L.

(** ** Its entries as polynomials *)

Definition layer l :=
  [nth l weights 0; - a * (r ^ 2 * (end_to_end (without l weights) * (end_to_end weights - teacher)))].
Definition product_of (layers : list nat) := fold_right (fun l g => product (layer l) g) [1] layers.
Definition entry_of l := product (plus [- teacher] (product_of (seq 0 L))) (product_of (without l (seq 0 L))).

Lemma batch_gradientE m ws l o :
  batch_gradient m ws l o = r ^ 2 * (mean_square D m b o * (end_to_end (without l ws) * (end_to_end ws - teacher))).
Proof.
  unfold batch_gradient, mean_square, mean_over.
  assert (H : forall c, sum_over D m c (fun z => gradient teacher ws l (r * z)) o
    = r ^ 2 * (end_to_end (without l ws) * (end_to_end ws - teacher)) * sum_over D m c (fun z => z ^ 2) o).
  { intros c. induction c as [|c IH]; cbn [sum_over]; [ring|]. rewrite IH. unfold gradient, residual. ring. }
  rewrite H. unfold Rdiv. ring.
Qed.

Lemma weights_afterE o : weights_after o = map (fun l => value (layer l) (mean_square D 0 b o)) (seq 0 L).
Proof.
  unfold weights_after. apply map_ext. intros l. rewrite batch_gradientE. unfold layer. simpl. ring.
Qed.

Lemma value_product_of layers S : value (product_of layers) S = end_to_end (map (fun l => value (layer l) S) layers).
Proof.
  induction layers as [|l layers IH]; [simpl; ring|]. cbn [product_of fold_right map end_to_end] in *.
  rewrite value_product. unfold product_of, end_to_end in IH. now rewrite IH.
Qed.

Lemma without_map {A B} (f : A -> B) l list : without l (map f list) = map f (without l list).
Proof. unfold without. now rewrite map_app, firstn_map, skipn_map. Qed.

Lemma variance_of_measured l : (1 <= b)%nat -> variance_of D (measured l) = (r ^ 2) ^ 2 * var (entry_of l) (/ INR b).
Proof.
  intros Hb. rewrite <- (variance_of_a_product D) by exact Hb. f_equal. apply functional_extensionality. intros o.
  unfold measured. rewrite batch_gradientE, weights_afterE, without_map, <- !value_product_of.
  unfold entry_of. rewrite value_product, value_plus. simpl. ring.
Qed.

Lemma length_plus g h : length (plus g h) = max (length g) (length h).
Proof. revert h. induction g as [|c g IH]; intros [|d h]; simpl; try reflexivity. now rewrite IH. Qed.

Lemma length_product g h : (1 <= length h)%nat -> (length (product g h) <= length g + length h - 1)%nat.
Proof.
  intros Hh. induction g as [|c g IH]; cbn [product length]; [lia|]. unfold times.
  rewrite length_plus, map_length. cbn [length]. destruct g; [simpl in *; lia|]. simpl length in *. lia.
Qed.

Lemma length_product_of layers : (1 <= length (product_of layers) <= S (length layers))%nat.
Proof.
  induction layers as [|l layers IH]; [simpl; lia|]. cbn [product_of fold_right] in *. fold (product_of layers) in *.
  split; [unfold layer; cbn [product]; rewrite !length_plus; unfold times; rewrite map_length; lia|].
  eapply Nat.le_trans; [apply length_product; lia|]. simpl length at 1. simpl (length (l :: layers)). lia.
Qed.

Lemma length_entry l : (L <= 4)%nat -> (l < L)%nat -> (length (entry_of l) <= largest)%nat.
Proof.
  intros HL Hl. unfold entry_of, largest. pose proof (length_product_of (seq 0 L)) as Hall.
  pose proof (length_product_of (without l (seq 0 L))) as Hothers.
  assert (Hless : (length (without l (seq 0 L)) = L - 1)%nat).
  { unfold without. rewrite app_length, firstn_length, skipn_length, seq_length. lia. }
  rewrite Hless in Hothers. rewrite seq_length in Hall.
  eapply Nat.le_trans; [apply length_product; lia|]. rewrite length_plus. simpl (length [_]). lia.
Qed.
End Run.

(** ** The theorem *)

Theorem up_to_four_layers D r teacher a weights : (length weights <= 4)%nat ->
  (forall b, (1 <= b)%nat -> variance_of_run D r teacher a weights b = 0) \/
  (forall b, (1 <= b)%nat -> variance_of_run D r teacher a weights (S b) < variance_of_run D r teacher a weights b).
Proof.
  intros HL. unfold variance_of_run, sum_over_layers.
  assert (Hin : Forall (fun l => (l < length weights)%nat) (seq 0 (length weights))).
  { apply Forall_forall. intros l Hl. apply in_seq in Hl. lia. }
  induction Hin as [|l layers Hl Hin IH]; [left; reflexivity|]. cbn [fold_right].
  assert (H : (forall b, (1 <= b)%nat -> variance_of D (measured D r teacher a weights b l) = 0) \/
    (forall b, (1 <= b)%nat ->
      variance_of D (measured D r teacher a weights (S b) l) < variance_of D (measured D r teacher a weights b l))).
  { set (g := entry_of r teacher a weights l).
    destruct (Req_dec r 0) as [Hr|Hr]; [|destruct (all_zero_dec g) as [Hg|Hg]].
    - left. intros b Hb. rewrite variance_of_measured by exact Hb. rewrite Hr. ring.
    - left. intros b Hb. rewrite variance_of_measured by exact Hb. fold g. rewrite varE, form_zero by exact Hg. ring.
    - right. intros b Hb. rewrite !variance_of_measured by lia. fold g. apply Rmult_lt_compat_l.
      + pose proof (Rsqr_pos_lt _ (pow_nonzero r 2 Hr)) as H. unfold Rsqr in H. simpl in *. lra.
      + assert (0 < INR b) by (apply lt_0_INR; lia).
        apply variance_of_degree_seven; [now apply length_entry | exact Hg | apply Rinv_0_lt_compat, lt_0_INR; lia |].
        apply Rinv_lt_contravar; [apply Rmult_lt_0_compat; [assumption | apply lt_0_INR; lia] | apply lt_INR; lia]. }
  destruct H as [H|H]; destruct IH as [IH|IH]; [left | right | right | right]; intros b Hb.
  - rewrite H, IH by exact Hb. ring.
  - rewrite !H by lia. pose proof (IH b Hb). lra.
  - rewrite !IH by lia. pose proof (H b Hb). lra.
  - pose proof (H b Hb). pose proof (IH b Hb). lra.
Qed.
