(** * Two layers, one step: from the examples on (row "two-layers-one-step" of the ledger)

    The network, its units, teacher and rate are those of two_layers.v.  Here the inputs are x = r z, with z one of the
    draws of draws.v, so that s = r^2; gradients are means over a batch of the gradients of its examples, the step is
    taken with the draws 0, ..., b - 1 and the gradient measured with b, ..., 2 b - 1.  The sum of the variances of its
    entries is the [variance] of two_layers.v at u = 1/b, so that the theorem there is one about this run. *)

From Coq Require Import Reals List Lra Lia FunctionalExtensionality.
From linvar Require Import moments draws two_layers_slope two_layers.
Import ListNotations.
Open Scope R_scope.

(** ** One example *)

Definition residual teacher units x := end_to_end units * x - teacher * x.
Definition loss teacher units x := / 2 * residual teacher units x ^ 2.

(** By a weight whose partner, the other weight of its unit, is given. *)
Definition gradient teacher units partner x := residual teacher units x * (partner * x).

Lemma end_to_end_with before v w after :
  end_to_end (before ++ (v, w) :: after) = v * w + end_to_end (before ++ after).
Proof.
  unfold end_to_end, total. induction before as [|[v' w'] before IH]; simpl in *; [ring|]. rewrite IH. ring.
Qed.

Theorem gradient_is_the_derivative teacher before v w after x :
  derivable_pt_lim (fun v => loss teacher (before ++ (v, w) :: after) x) v
    (gradient teacher (before ++ (v, w) :: after) w x) /\
  derivable_pt_lim (fun w => loss teacher (before ++ (v, w) :: after) x) w
    (gradient teacher (before ++ (v, w) :: after) v x).
Proof.
  set (c := end_to_end (before ++ after) * x - teacher * x). split.
  - replace (fun v => _) with (fun v => / 2 * (c + w * x * v) ^ 2).
    + replace (gradient _ _ _ _) with ((c + w * x * v) * (w * x)); [now apply slope_of_a_square|].
      unfold gradient, residual. rewrite end_to_end_with. unfold c. ring.
    + apply functional_extensionality. intros y. unfold loss, residual. rewrite end_to_end_with. unfold c.
      f_equal. ring.
  - replace (fun w => _) with (fun w => / 2 * (c + v * x * w) ^ 2).
    + replace (gradient _ _ _ _) with ((c + v * x * w) * (v * x)); [now apply slope_of_a_square|].
      unfold gradient, residual. rewrite end_to_end_with. unfold c. ring.
    + apply functional_extensionality. intros y. unfold loss, residual. rewrite end_to_end_with. unfold c.
      f_equal. ring.
Qed.

(** ** A step, and the gradient of a fresh batch *)

Section Run.
Variables (D : normal_draws) (r teacher a : R) (units : list (R * R)) (b : nat).

Definition batch_gradient m l partner := mean_over D m b (fun z => gradient teacher l partner (r * z)).
Definition moved weight partner o := weight - a * batch_gradient 0 units partner o.
Definition units_after o := map (fun x => (moved (fst x) (snd x) o, moved (snd x) (fst x) o)) units.

(** The entry of the measured gradient that belongs to a weight, here the partner of the one that is given. *)
Definition measured weight partner o := batch_gradient b (units_after o) (moved weight partner o) o.

Definition variance_of_run :=
  total (fun x => variance_of D (measured (snd x) (fst x)) + variance_of D (measured (fst x) (snd x))) units.

Lemma batch_gradientE m l partner o :
  batch_gradient m l partner o = r ^ 2 * (mean_square D m b o * (partner * (end_to_end l - teacher))).
Proof.
  unfold batch_gradient, mean_square, mean_over.
  assert (H : forall c, sum_over D m c (fun z => gradient teacher l partner (r * z)) o
    = r ^ 2 * (partner * (end_to_end l - teacher)) * sum_over D m c (fun z => z ^ 2) o).
  { intros c. induction c as [|c IH]; cbn [sum_over]; [ring|]. rewrite IH. unfold gradient, residual. ring. }
  rewrite H. unfold Rdiv. ring.
Qed.

Let k := kappa (r ^ 2) teacher a units.

Lemma movedE weight partner o : moved weight partner o = value (stepped k weight partner) (mean_square D 0 b o).
Proof. unfold moved. rewrite batch_gradientE. unfold k, kappa, error. simpl. ring. Qed.

Lemma error_of_units_after o :
  end_to_end (units_after o) - teacher = value (error_after teacher k units) (mean_square D 0 b o).
Proof.
  (* for some of the units, each of which moves by the error of all of them *)
  assert (H : forall l, end_to_end (map (fun x => (moved (fst x) (snd x) o, moved (snd x) (fst x) o)) l) - teacher
    = value (error_after teacher k l) (mean_square D 0 b o)); [|apply H].
  intros l. induction l as [|[v w] l IH].
  - unfold end_to_end. simpl. ring.
  - cbn [map error_after fst snd]. rewrite value_plus, value_product, <- !movedE, <- IH.
    unfold end_to_end. simpl. ring.
Qed.

Theorem variance_of_runE : (1 <= b)%nat -> variance_of_run = variance (r ^ 2) teacher a units (/ INR b).
Proof.
  intros Hb. unfold variance_of_run, variance. apply eq_total. intros [v w].
  assert (H : forall weight partner,
    variance_of D (measured weight partner) = variance_of_entry (r ^ 2) teacher a units weight partner (/ INR b)).
  { intros weight partner. unfold variance_of_entry. rewrite <- (variance_of_a_product D) by exact Hb. f_equal.
    apply functional_extensionality. intros o. unfold measured.
    rewrite batch_gradientE, movedE, error_of_units_after, value_product. reflexivity. }
  now rewrite !H.
Qed.
End Run.

(** ** The theorem *)

Theorem two_layers_one_step_of_a_run D r teacher a units :
  (forall b, (1 <= b)%nat -> variance_of_run D r teacher a units b = 0) \/
  (forall b, (1 <= b)%nat -> variance_of_run D r teacher a units (S b) < variance_of_run D r teacher a units b).
Proof.
  destruct (two_layers_one_step (r ^ 2) teacher a units) as [H|H]; [left | right]; intros b Hb.
  - now rewrite variance_of_runE.
  - rewrite !variance_of_runE by lia. now apply H.
Qed.
