(** * One input: every polynomial of degree 7 falls (row "one-input" of the ledger)

    With one input each entry of the gradient after a step is S' g(S), with S' an independent copy of S and g a
    polynomial, of degree 2 L - 1 where the network has L layers.  Its variance is a quadratic form in the coefficients
    of g, and so is the derivative by u, with entries that are polynomials in u with integer coefficients.  Elimination
    without fractions shows that this form is positive definite for every u > 0 where g has 8 coefficients at most:
    each pivot, a leading minor, is a polynomial with coefficients that are not negative.  Coq's arithmetic of integers
    carries the elimination out ([all_are_definite]). *)

From Coq Require Import Reals List Lra Lia ZArith.
From linvar Require Import moments.
Import ListNotations.
Open Scope R_scope.

(** ** Polynomials in u with integer coefficients *)

Definition poly := list Z.
Fixpoint eval (p : poly) u := match p with [] => 0 | a :: q => IZR a + u * eval q u end.

Fixpoint add (p q : poly) : poly :=
  match p, q with [], _ => q | _, [] => p | a :: p', b :: q' => (a + b)%Z :: add p' q' end.
Definition scale a (p : poly) : poly := map (Z.mul a) p.
Fixpoint mul (p q : poly) : poly := match p with [] => [] | a :: p' => add (scale a q) (0%Z :: mul p' q) end.
Definition less p q := add p (scale (-1) q).
Fixpoint slope (p : poly) : poly := match p with [] => [] | a :: q => add q (0%Z :: slope q) end.

Lemma eval_add p q u : eval (add p q) u = eval p u + eval q u.
Proof. revert q. induction p as [|a p IH]; intros [|b q]; simpl; rewrite ?IH, ?plus_IZR; ring. Qed.

Lemma eval_scale a p u : eval (scale a p) u = IZR a * eval p u.
Proof. unfold scale. induction p as [|b p IH]; simpl; rewrite ?IH, ?mult_IZR; ring. Qed.

Lemma eval_mul p q u : eval (mul p q) u = eval p u * eval q u.
Proof. induction p as [|a p IH]; simpl; [ring|]. rewrite eval_add, eval_scale. simpl. rewrite IH. ring. Qed.

Lemma eval_less p q u : eval (less p q) u = eval p u - eval q u.
Proof. unfold less. rewrite eval_add, eval_scale. ring. Qed.

Lemma eval_has_slope p u : derivable_pt_lim (eval p) u (eval (slope p) u).
Proof.
  induction p as [|a p IH]; [exact (constant_slope 0 u)|].
  apply (sum_rule (fun _ => IZR a) (fun v => v * eval p v) u 0 (eval p u + u * eval (slope p) u));
    [apply constant_slope | | cbn [slope]; rewrite eval_add; simpl; ring].
  apply (product_rule id (eval p) u 1 (eval (slope p) u)); [apply derivable_pt_lim_id | exact IH | unfold id; ring].
Qed.

(** Zero everywhere, and positive for u > 0, as the coefficients say. *)
Definition zero := forallb (Z.eqb 0).
Definition positive (p : poly) := (forallb (Z.leb 0) p && existsb (Z.ltb 0) p)%bool.

Lemma zero_eval p u : zero p = true -> eval p u = 0.
Proof.
  induction p as [|a p IH]; [reflexivity|]. unfold zero. cbn [forallb]. intros H. apply andb_prop in H as [Ha Hp].
  apply Z.eqb_eq in Ha. cbn [eval]. rewrite <- Ha, (IH Hp). ring.
Qed.

Lemma positive_eval p u : 0 < u -> positive p = true -> 0 < eval p u.
Proof.
  intros Hu H. apply andb_prop in H as [Hle Hlt]. induction p as [|a p IH]; [discriminate|].
  cbn [forallb existsb eval] in *. apply andb_prop in Hle as [Ha Hle]. apply Z.leb_le, IZR_le in Ha.
  assert (H0 : forall q, forallb (Z.leb 0) q = true -> 0 <= eval q u).
  { intros q. induction q as [|b q IHq]; cbn [forallb eval]; [lra|]. intros Hq. apply andb_prop in Hq as [Hb Hq].
    apply Z.leb_le, IZR_le in Hb. pose proof (Rmult_le_pos u _ (Rlt_le _ _ Hu) (IHq Hq)). lra. }
  apply Bool.orb_prop in Hlt as [Hlt|Hlt].
  - apply Z.ltb_lt, IZR_lt in Hlt. pose proof (Rmult_le_pos u _ (Rlt_le _ _ Hu) (H0 p Hle)). lra.
  - pose proof (Rmult_lt_0_compat u _ Hu (IH Hle Hlt)). lra.
Qed.

(** ** Quadratic forms: the entries of a symmetric matrix from the diagonal on, row by row *)

Fixpoint dot (r : list poly) (c : list R) u :=
  match r, c with p :: r', x :: c' => eval p u * x + dot r' c' u | _, _ => 0 end.

Fixpoint form (rows : list (list poly)) (c : list R) u :=
  match rows, c with
  | (p :: r) :: rest, x :: c' => eval p u * x ^ 2 + 2 * x * dot r c' u + form rest c' u
  | _, _ => 0
  end.

Definition slopes := map (map slope).

Lemma dot_has_slope r c u : derivable_pt_lim (dot r c) u (dot (map slope r) c u).
Proof.
  revert c. induction r as [|p r IH]; intros c; [exact (constant_slope 0 u)|].
  destruct c as [|x c]; [exact (constant_slope 0 u)|].
  apply (sum_rule (fun v => eval p v * x) (dot r c) u (eval (slope p) u * x) (dot (map slope r) c u));
    [| apply IH | reflexivity].
  apply (product_rule (eval p) (fun _ => x) u (eval (slope p) u) 0);
    [apply eval_has_slope | apply constant_slope | ring].
Qed.

Lemma form_has_slope rows c u : derivable_pt_lim (form rows c) u (form (slopes rows) c u).
Proof.
  revert c. induction rows as [|[|p r] rows IH]; intros c; [exact (constant_slope 0 u) | exact (constant_slope 0 u) |].
  destruct c as [|x c]; [exact (constant_slope 0 u)|]. cbn [form slopes map].
  apply (sum_rule (fun v => eval p v * x ^ 2 + 2 * x * dot r c v) (form rows c) u
    (eval (slope p) u * x ^ 2 + 2 * x * dot (map slope r) c u) (form (slopes rows) c u)); [| apply IH | reflexivity].
  apply (sum_rule (fun v => eval p v * x ^ 2) (fun v => 2 * x * dot r c v) u
    (eval (slope p) u * x ^ 2) (2 * x * dot (map slope r) c u)); [| | reflexivity].
  - apply (product_rule (eval p) (fun _ => x ^ 2) u (eval (slope p) u) 0);
      [apply eval_has_slope | apply constant_slope | ring].
  - apply (product_rule (fun _ => 2 * x) (dot r c) u 0 (dot (map slope r) c u));
      [apply constant_slope | apply dot_has_slope | ring].
Qed.

(** ** Elimination without fractions *)

(** The quotient, if there is one: coefficient by coefficient from the constant one on, after powers of u. *)
Fixpoint from_the_constant (fuel : nat) (p q : poly) : poly :=
  match fuel, p, q with
  | S fuel', a :: p', b :: q' => let c := (a / b)%Z in c :: from_the_constant fuel' (less p' (scale c q')) q
  | _, _, _ => []
  end.
Fixpoint quotient (p q : poly) : poly :=
  match p, q with
  | a :: p', b :: q' => if Z.eqb b 0 then quotient p' q' else from_the_constant (S (length p) - length q) p q
  | _, _ => []
  end.

(** With a row p, r_1, r_2, ... and the rows m below it: the entries (p m_ij - r_i r_j) / last. *)
Fixpoint next_row last p ri (row r : list poly) :=
  match row, r with
  | m :: row', rj :: r' => quotient (less (mul p m) (mul ri rj)) last :: next_row last p ri row' r'
  | _, _ => []
  end.
Fixpoint next last p (r : list poly) rest :=
  match r, rest with ri :: r', row :: rest' => next_row last p ri row r :: next last p r' rest' | _, _ => [] end.

(** Whether they are. *)
Fixpoint row_agrees last p ri (row r found : list poly) :=
  match row, r, found with
  | m :: row', rj :: r', n :: found' =>
      (zero (less (mul last n) (less (mul p m) (mul ri rj))) && row_agrees last p ri row' r' found')%bool
  | [], [], [] => true
  | _, _, _ => false
  end.
Fixpoint agrees last p (r : list poly) (rest found : list (list poly)) :=
  match r, rest, found with
  | ri :: r', row :: rest', row' :: found' => (row_agrees last p ri row r row' && agrees last p r' rest' found')%bool
  | [], [], [] => true
  | _, _, _ => false
  end.

Fixpoint definite (size : nat) last (rows : list (list poly)) :=
  match size, rows with
  | O, [] => true
  | S size', (p :: r) :: rest =>
      let found := next last p r rest in (positive p && agrees last p r rest found && definite size' p found)%bool
  | _, _ => false
  end.

Lemma row_agreesE last p ri row r found c u : row_agrees last p ri row r found = true ->
  eval last u * dot found c u = eval p u * dot row c u - eval ri u * dot r c u.
Proof.
  revert r found c. induction row as [|m row IH]; intros [|rj r] [|n found] c H; try discriminate; [simpl; ring|].
  cbn [row_agrees] in H. apply andb_prop in H as [Hn Hrow]. destruct c as [|x c]; [simpl; ring|].
  apply (zero_eval _ u) in Hn. rewrite !eval_less, !eval_mul in Hn. cbn [dot].
  replace (eval last u * (eval n u * x + dot found c u)) with
    (eval last u * eval n u * x + eval last u * dot found c u) by ring.
  rewrite (IH r found c Hrow).
  replace (eval last u * eval n u) with (eval p u * eval m u - eval ri u * eval rj u) by lra. ring.
Qed.

Lemma agreesE last p r rest found c u : agrees last p r rest found = true ->
  eval last u * form found c u = eval p u * form rest c u - dot r c u ^ 2.
Proof.
  revert rest found c.
  induction r as [|ri r IH]; intros [|row rest] [|row' found] c H; try discriminate; [simpl; ring|].
  cbn [agrees] in H. apply andb_prop in H as [Hrow Hrest].
  destruct row as [|m row]; destruct row' as [|n row']; try (cbn in Hrow; discriminate).
  destruct c as [|y c]; [simpl; ring|]. cbn [row_agrees] in Hrow. apply andb_prop in Hrow as [Hn Hrow].
  apply (zero_eval _ u) in Hn. rewrite !eval_less, !eval_mul in Hn. apply (row_agreesE _ _ _ _ _ _ c u) in Hrow.
  cbn [form dot].
  replace (eval last u * (eval n u * y ^ 2 + 2 * y * dot row' c u + form found c u)) with
    (eval last u * eval n u * y ^ 2 + 2 * y * (eval last u * dot row' c u) + eval last u * form found c u) by ring.
  rewrite Hrow, (IH rest found c Hrest).
  replace (eval last u * eval n u) with (eval p u * eval m u - eval ri u * eval ri u) by lra. ring.
Qed.

Definition all_zero := Forall (fun x : R => x = 0).

Lemma dot_zero r c u : all_zero c -> dot r c u = 0.
Proof.
  intros Hc. revert r. induction Hc as [|x c Hx Hc IH]; intros [|p r]; simpl; try reflexivity.
  rewrite Hx, IH. ring.
Qed.

Lemma form_zero rows c u : all_zero c -> form rows c u = 0.
Proof.
  intros Hc. revert rows. induction Hc as [|x c Hx Hc IH]; intros [|[|p r] rows]; simpl; try reflexivity.
  rewrite Hx, IH. ring.
Qed.

Lemma all_zero_dec c : all_zero c \/ ~ all_zero c.
Proof.
  induction c as [|x c [IH|IH]]; [left; constructor | | right; inversion 1; contradiction].
  destruct (Req_dec x 0) as [Hx|Hx]; [left; now constructor | right; inversion 1; contradiction].
Qed.

Lemma definite_positive size last rows c u : definite size last rows = true -> 0 < u -> 0 < eval last u ->
  length c = size -> ~ all_zero c -> 0 < form rows c u.
Proof.
  intros H Hu. revert last rows c H. induction size as [|size IH]; intros last rows c H Hlast Hsize Hc.
  - destruct c; [|discriminate]. exfalso. apply Hc. constructor.
  - destruct rows as [|[|p r] rest]; try discriminate. destruct c as [|x c]; [discriminate|].
    cbn [definite] in H. apply andb_prop in H as [H Hdef]. apply andb_prop in H as [Hp Hagree].
    apply (positive_eval p u Hu) in Hp. apply (agreesE _ _ _ _ _ c u) in Hagree. cbn [form].
    destruct (all_zero_dec c) as [Hc0|Hc0].
    + rewrite (dot_zero r c u Hc0), (form_zero rest c u Hc0).
      assert (Hx : x <> 0) by (intros Hx; apply Hc; now constructor).
      pose proof (Rmult_lt_0_compat _ _ Hp (Rsqr_pos_lt x Hx)) as H. unfold Rsqr in H. simpl. lra.
    + assert (Hn : 0 < form (next last p r rest) c u) by (apply (IH p); auto).
      apply Rmult_lt_reg_l with (eval p u); [exact Hp|]. rewrite Rmult_0_r.
      replace (eval p u * (eval p u * x ^ 2 + 2 * x * dot r c u + form rest c u)) with
        ((eval p u * x + dot r c u) ^ 2 + (eval p u * form rest c u - dot r c u ^ 2)) by ring.
      rewrite <- Hagree. pose proof (Rmult_lt_0_compat _ _ Hlast Hn).
      pose proof (pow2_ge_0 (eval p u * x + dot r c u)). lra.
Qed.

(** ** The variance of S' g(S) as such a form *)

Fixpoint moment_poly k : poly := match k with O => [1%Z] | S i => mul (moment_poly i) [1; 2 * Z.of_nat i]%Z end.
Definition entry i j := less (mul [1; 2]%Z (moment_poly (i + j))) (mul (moment_poly i) (moment_poly j)).
Fixpoint rows_from k size :=
  match size with O => [] | S size' => map (entry k) (seq k size) :: rows_from (S k) size' end.

Lemma eval_moment k u : eval (moment_poly k) u = moment k u.
Proof.
  induction k as [|k IH]; [simpl; ring|]. cbn [moment_poly]. rewrite eval_mul, IH. simpl moment.
  cbn [eval]. rewrite mult_IZR, <- INR_IZR_INZ. ring.
Qed.

Lemma eval_entry i j u : eval (entry i j) u = (1 + 2 * u) * moment (i + j) u - moment i u * moment j u.
Proof. unfold entry. rewrite eval_less, !eval_mul, !eval_moment. simpl. ring. Qed.

Lemma dot_entries k l c u :
  dot (map (entry k) (seq l (length c))) c u = (1 + 2 * u) * shifted (k + l) c u - moment k u * shifted l c u.
Proof.
  revert l. induction c as [|x c IH]; intros l; [simpl; ring|]. cbn [length seq map dot shifted].
  rewrite IH, eval_entry, <- plus_n_Sm. ring.
Qed.

Lemma shifted_plus k g h u : shifted k (plus g h) u = shifted k g u + shifted k h u.
Proof. revert k h. induction g as [|a g IH]; intros k [|b h]; simpl; rewrite ?IH; ring. Qed.

Lemma shifted_times k a g u : shifted k (times a g) u = a * shifted k g u.
Proof. unfold times. revert k. induction g as [|b g IH]; intros k; simpl; rewrite ?IH; ring. Qed.

Lemma shifted_product_cons k g x h u :
  shifted k (product g (x :: h)) u = x * shifted k g u + shifted (S k) (product g h) u.
Proof.
  revert k. induction g as [|a g IH]; intros k; [simpl; ring|]. cbn [product].
  rewrite !shifted_plus, !shifted_times. cbn [shifted]. rewrite IH. ring.
Qed.

Lemma form_entries k c u : form (rows_from k (length c)) c u
  = (1 + 2 * u) * shifted (k + k) (product c c) u - shifted k c u ^ 2.
Proof.
  revert k. induction c as [|x c IH]; intros k; [simpl; ring|]. cbn [length rows_from seq map form].
  rewrite dot_entries, IH, eval_entry. cbn [product]. rewrite shifted_plus, shifted_times. cbn [shifted].
  rewrite shifted_product_cons. cbn [plus Nat.add]. rewrite <- !plus_n_Sm. ring.
Qed.

Lemma varE g u : var g u = form (rows_from 0 (length g)) g u.
Proof. rewrite form_entries. unfold var, E. simpl. ring. Qed.

(** ** Degree 7 *)

Definition largest := 8%nat.

Lemma all_are_definite :
  forallb (fun size => definite size [1%Z] (slopes (rows_from 0 size))) (seq 0 (S largest)) = true.
Proof. vm_compute. reflexivity. Qed.

Theorem variance_of_degree_seven g u v :
  (length g <= largest)%nat -> ~ all_zero g -> 0 < u -> u < v -> var g u < var g v.
Proof.
  intros Hg Hzero Hu Huv. rewrite !varE.
  apply (positive_slope_increases _ (form (slopes (rows_from 0 (length g))) g)); [| | exact Hu | exact Huv].
  - intros w _. apply form_has_slope.
  - intros w Hw. apply (definite_positive (length g) [1%Z]); [| exact Hw | simpl; lra | reflexivity | exact Hzero].
    pose proof (proj1 (forallb_forall _ _) all_are_definite (length g)) as H. apply H, in_seq. simpl. lia.
Qed.
