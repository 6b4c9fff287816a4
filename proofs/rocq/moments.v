(** * Moments of the mean of b squares, and their slopes in u = 1/b

    S is the mean of b squares of independent standard normal numbers, so that b S has a chi-square distribution and

        E S^k = prod_{i < k} (1 + 2 i u),   u = 1/b

    (the definition here; proved of draws in draws.v).  A polynomial in S is the list of its coefficients.  Its expectation is a polynomial in u; here are the derivatives
    by u of the expectation, and of the variance of S' g(S) with S' an independent copy of S. *)

From Coq Require Import Reals List Lra.
Import ListNotations.
Open Scope R_scope.

(** E S^k, and its derivative by u. *)
Fixpoint moment k u := match k with O => 1 | S i => moment i u * (1 + 2 * INR i * u) end.
Fixpoint moment_slope k u :=
  match k with O => 0 | S i => moment_slope i u * (1 + 2 * INR i * u) + moment i u * (2 * INR i) end.

(** E S^k g(S), its derivative, and the case k = 0. *)
Fixpoint shifted k (g : list R) u := match g with [] => 0 | c :: h => c * moment k u + shifted (S k) h u end.
Fixpoint shifted_slope k (g : list R) u :=
  match g with [] => 0 | c :: h => c * moment_slope k u + shifted_slope (S k) h u end.
Definition E g u := shifted 0 g u.
Definition E_slope g u := shifted_slope 0 g u.

(** Sums, multiples and products of polynomials in S. *)
Fixpoint plus (g h : list R) :=
  match g, h with [], _ => h | _, [] => g | a :: g', b :: h' => a + b :: plus g' h' end.
Definition times a (g : list R) := map (Rmult a) g.
Fixpoint product (g h : list R) := match g with [] => [] | a :: g' => plus (times a h) (0 :: product g' h) end.

(** Var(S' g(S)) = E S'^2 E g(S)^2 - (E S' E g(S))^2, and its derivative. *)
Definition var g u := moment 2 u * E (product g g) u - (moment 1 u * E g u) ^ 2.
Definition var_slope g u :=
  moment_slope 2 u * E (product g g) u + moment 2 u * E_slope (product g g) u
  - 2 * (moment 1 u * E g u) * (moment_slope 1 u * E g u + moment 1 u * E_slope g u).

Lemma product_rule (f g : R -> R) u f' g' f'g' :
  derivable_pt_lim f u f' -> derivable_pt_lim g u g' -> f' * g u + f u * g' = f'g' ->
  derivable_pt_lim (fun v => f v * g v) u f'g'.
Proof. intros Hf Hg <-. exact (derivable_pt_lim_mult f g u f' g' Hf Hg). Qed.

Lemma sum_rule (f g : R -> R) u f' g' fg' :
  derivable_pt_lim f u f' -> derivable_pt_lim g u g' -> f' + g' = fg' ->
  derivable_pt_lim (fun v => f v + g v) u fg'.
Proof. intros Hf Hg <-. exact (derivable_pt_lim_plus f g u f' g' Hf Hg). Qed.

Lemma constant_slope a u : derivable_pt_lim (fun _ => a) u 0.
Proof. apply derivable_pt_lim_const. Qed.

Lemma affine_slope a c u : derivable_pt_lim (fun v => a + c * v) u c.
Proof.
  apply (sum_rule (fun _ => a) (fun v => c * v) u 0 c); [apply constant_slope | | ring].
  apply (product_rule (fun _ => c) id u 0 1); [apply constant_slope | apply derivable_pt_lim_id | unfold id; ring].
Qed.

Lemma slope_of_a_square c d v : derivable_pt_lim (fun v => / 2 * (c + d * v) ^ 2) v ((c + d * v) * d).
Proof.
  assert (H := affine_slope c d v).
  apply (product_rule (fun _ => / 2) (fun v => (c + d * v) ^ 2) v 0 (2 * (c + d * v) * d));
    [apply constant_slope | | field].
  apply (product_rule _ (fun v => (c + d * v) * 1) v d d); [exact H | | ring].
  apply (product_rule _ (fun _ => 1) v d 0); [exact H | apply constant_slope | ring].
Qed.

Lemma moment_has_slope k u : derivable_pt_lim (moment k) u (moment_slope k u).
Proof.
  induction k as [|k IH]; [exact (constant_slope _ u)|].
  apply (product_rule (moment k) (fun v => 1 + 2 * INR k * v) u _ _ _ IH (affine_slope _ _ _)). reflexivity.
Qed.

Lemma shifted_has_slope k g u : derivable_pt_lim (shifted k g) u (shifted_slope k g u).
Proof.
  revert k; induction g as [|c h IH]; intro k; [exact (constant_slope _ u)|].
  apply (sum_rule (fun v => c * moment k v) (shifted (S k) h) u _ _ _) with (3 := eq_refl); [|apply IH].
  apply (product_rule (fun _ => c) (moment k) u _ _ _ (constant_slope c u) (moment_has_slope k u)). ring.
Qed.

Lemma E_has_slope g u : derivable_pt_lim (E g) u (E_slope g u).
Proof. apply shifted_has_slope. Qed.

Lemma var_has_slope g u : derivable_pt_lim (var g) u (var_slope g u).
Proof.
  assert (mean : derivable_pt_lim (fun v => moment 1 v * E g v) u
                   (moment_slope 1 u * E g u + moment 1 u * E_slope g u)).
  { apply (product_rule _ _ u _ _ _ (moment_has_slope 1 u) (E_has_slope g u)). reflexivity. }
  apply (derivable_pt_lim_minus (fun v => moment 2 v * E (product g g) v) (fun v => (moment 1 v * E g v) ^ 2)).
  - apply (product_rule _ _ u _ _ _ (moment_has_slope 2 u) (E_has_slope _ u)). reflexivity.
  - apply (product_rule _ (fun v => moment 1 v * E g v * 1) u _ _ _ mean
             (product_rule _ (fun _ => 1) u _ _ _ mean (constant_slope 1 u) eq_refl)).
    ring.
Qed.

(** A function with positive slope for u > 0 increases there. *)
Lemma positive_slope_increases (f f' : R -> R) :
  (forall u, 0 < u -> derivable_pt_lim f u (f' u)) -> (forall u, 0 < u -> 0 < f' u) ->
  forall u v, 0 < u -> u < v -> f u < f v.
Proof.
  intros Hf Hpos u v Hu Huv.
  destruct (MVT_cor2 f f' u v Huv) as [w [Hw Hin]]; [intros w Hw; apply Hf; lra|].
  assert (0 < f' w * (v - u)) by (apply Rmult_lt_0_compat; [apply Hpos; lra | lra]). lra.
Qed.
