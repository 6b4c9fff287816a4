(** * Polynomials whose coefficients are positive semi-definite

    The induction of ../linear-regression.md runs over polynomials in c whose coefficients are positive semi-definite
    matrices.  Traces of their images have non-negative coefficients, hence increase with c or are constant. *)

From mathcomp Require Import all_ssreflect all_algebra.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section Matrices.
Variable R : realFieldType.

(** v M v^T >= 0 for all rows v. *)
Definition psd d (M : 'M[R]_d) := forall v : 'rV[R]_d, 0 <= (v *m M *m v^T) 0 0.

Lemma psd_zero d : psd (0 : 'M_d).
Proof. by move=> v; rewrite mulmx0 mul0mx mxE. Qed.

Lemma psd_add d (M N : 'M_d) : psd M -> psd N -> psd (M + N).
Proof. by move=> HM HN v; rewrite mulmxDr mulmxDl mxE addr_ge0. Qed.

Lemma psd_scale d (a : R) (M : 'M_d) : 0 <= a -> psd M -> psd (a *: M).
Proof. by move=> a0 HM v; rewrite -scalemxAr -scalemxAl mxE mulr_ge0. Qed.

Lemma psd_sum d (I : finType) (M : I -> 'M_d) : (forall i, psd (M i)) -> psd (\sum_i M i).
Proof. by move=> HM; elim/big_ind: _ => [|? ?|i _]; [exact: psd_zero | exact: psd_add | exact: HM]. Qed.

Lemma psd_image d e (A : 'M_(e, d)) (M : 'M_d) : psd M -> psd (A *m M *m A^T).
Proof. by move=> HM v; have := HM (v *m A); rewrite trmx_mul !mulmxA. Qed.

Lemma psd_outer d (x : 'cV[R]_d) : psd (x *m x^T).
Proof. by move=> v; rewrite mulmxA -mulmxA -[x^T *m v^T]trmx_mul mxE big_ord1 [_^T _ _]mxE -expr2 sqr_ge0. Qed.

Lemma psd_trace d (M : 'M_d) : psd M -> 0 <= \tr M.
Proof.
move=> HM; apply: sumr_ge0 => i _.
by have := HM (delta_mx 0 i); rewrite trmx_delta -rowE -colE !mxE.
Qed.
End Matrices.

Section Polynomials.
Variable R : realFieldType.

(** C(c) = sum_{j <= m} c^j M_j with positive semi-definite M_j. *)
Definition psd_polynomial d m (C : R -> 'M[R]_d) :=
  exists M : nat -> 'M_d, (forall j, psd (M j)) /\ (forall c, C c = \sum_(j < m.+1) c ^+ j *: M j).

Lemma psd_polynomial_const d (M : 'M[R]_d) : psd M -> psd_polynomial 0 (fun _ => M).
Proof. by move=> HM; exists (fun _ => M); split=> // c; rewrite big_ord1 expr0 scale1r. Qed.

Lemma psd_polynomial_add d m (C D : R -> 'M[R]_d) :
  psd_polynomial m C -> psd_polynomial m D -> psd_polynomial m (fun c => C c + D c).
Proof.
move=> [M [HM CE]] [N [HN DE]]; exists (fun j => M j + N j); split=> [j|c]; first exact: psd_add.
by rewrite CE DE -big_split; apply: eq_bigr => j _; rewrite scalerDr.
Qed.

(** The degree may be said to be larger than it is. *)
Lemma psd_polynomial_wider d m m' (C : R -> 'M[R]_d) :
  (m <= m')%N -> psd_polynomial m C -> psd_polynomial m' C.
Proof.
move=> mm' [M [HM CE]]; exists (fun j => if (j <= m)%N then M j else 0); split=> [j|c].
  by case: ifP => // _; exact: psd_zero.
rewrite CE (big_ord_widen m'.+1 (fun j => c ^+ j *: M j)) // big_mkcond; apply: eq_bigr => j _.
by rewrite ltnS; case: ifP => //; rewrite scaler0.
Qed.

(** The image under a linear map that keeps matrices positive semi-definite. *)
Lemma psd_polynomial_image d e m (f : {linear 'M[R]_d -> 'M[R]_e}) (C : R -> 'M[R]_d) :
  (forall M, psd M -> psd (f M)) -> psd_polynomial m C -> psd_polynomial m (fun c => f (C c)).
Proof.
move=> Hf [M [HM CE]]; exists (fun j => f (M j)); split=> [j|c]; first exact: Hf.
by rewrite CE linear_sum; apply: eq_bigr => j _; rewrite linearZ.
Qed.

(** c C(c). *)
Lemma psd_polynomial_times d m (C : R -> 'M[R]_d) :
  psd_polynomial m C -> psd_polynomial m.+1 (fun c => c *: C c).
Proof.
move=> [M [HM CE]]; exists (fun j => if j is i.+1 then M i else 0); split=> [[|j]|c] //; first exact: psd_zero.
rewrite CE [RHS]big_ord_recl scaler0 add0r scaler_sumr; apply: eq_bigr => j _.
by rewrite scalerA -exprS.
Qed.

(** Polynomials with non-negative coefficients. *)
Definition nonnegative (p : {poly R}) := forall j, 0 <= p`_j.

Lemma trace_polynomial d e m (A : 'M[R]_(e, d)) (C : R -> 'M[R]_d) : psd_polynomial m C ->
  exists p : {poly R}, [/\ nonnegative p, (size p <= m.+1)%N & forall c, \tr (A *m C c *m A^T) = p.[c]].
Proof.
move=> [M [HM CE]]; exists (\poly_(j < m.+1) \tr (A *m M j *m A^T)); split=> [j||c]; last 1 first.
- rewrite horner_poly CE mulmx_sumr mulmx_suml raddf_sum; apply: eq_bigr => j _ /=.
  by rewrite -scalemxAr -scalemxAl mxtraceZ mulrC.
- by rewrite coef_poly; case: ifP => // _; exact/psd_trace/psd_image.
- exact: size_poly.
Qed.

(** Such a polynomial is constant, or strictly increasing where c >= 0. *)
Lemma nonnegative_increases (p : {poly R}) : nonnegative p ->
  (forall c, p.[c] = p`_0) \/ (forall c c', 0 <= c -> c < c' -> p.[c] < p.[c']).
Proof.
move=> p0; have sum c : p.[c] = p`_0 + \sum_(j < size p) p`_j.+1 * c ^+ j.+1.
  rewrite (horner_coef_wide _ (leqnSn (size p))) big_ord_recl expr0 mulr1; congr (_ + _).
have [/existsP[j pj]|/existsPn none] := boolP [exists j : 'I_(size p), 0 < p`_j.+1]; [right|left].
  move=> c c' c0 cc'; rewrite !sum ltr_add2l (bigD1 j) //= [X in _ < X](bigD1 j) //=.
  apply: ltr_le_add; first by rewrite ltr_pmul2l // ltr_expn2r.
  apply: ler_sum => i _; apply: ler_wpmul2l => //.
  by apply: ler_expn2r; rewrite ?nnegrE ?(ltW cc') // (le_trans c0) // ltW.
move=> c; rewrite sum big1 ?addr0 // => j _; suff -> : p`_j.+1 = 0 by rewrite mul0r.
by apply/eqP; rewrite eq_le p0 andbT leNgt none.
Qed.
End Polynomials.
