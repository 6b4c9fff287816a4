(** * From some batch size on the variance falls (row "eventually" of the ledger)

    A polynomial p in u = 1/b without a constant term that is not negative at u = 1, 1/2, 1/3, ..., as a variance is for
    independent draws, is zero or strictly decreasing in b from some batch size on.

    The first coefficient that is not zero, p_m, decides: where 0 <= x < y <= 1,

        p(y) - p(x) >= (y - x) y^(m-1) (p_m - y sum_j j |p_j|)   if p_m > 0.

    In words: ../eventually-decreasing.md. *)

From mathcomp Require Import all_ssreflect all_algebra.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section NearZero.
Variable R : realFieldType.
Implicit Types (p : {poly R}) (x y : R).

(** y^(m-1) (y - x) <= y^m - x^m, and y^j - x^j <= j y^m (y - x) for j > m. *)
Lemma power_difference_ge m x y : 0 <= x -> x <= y -> (0 < m)%N -> (y - x) * y ^+ m.-1 <= y ^+ m - x ^+ m.
Proof.
move=> x0 xy; case: m => // m _; have y0 := le_trans x0 xy; rewrite subrXX ler_wpmul2l ?subr_ge0 //.
rewrite big_ord_recl subn0 expr0 mulr1 ler_addl; apply: sumr_ge0 => i _.
by rewrite mulr_ge0 ?exprn_ge0.
Qed.

Lemma power_difference_le m j x y : 0 <= x -> x <= y -> y <= 1 -> (m < j)%N ->
  y ^+ j - x ^+ j <= (y - x) * (j%:R * y ^+ m).
Proof.
move=> x0 xy y1 mj; have y0 := le_trans x0 xy; rewrite subrXX ler_wpmul2l ?subr_ge0 //.
rewrite mulr_natl -[X in _ *+ X](card_ord j) -sumr_const; apply: ler_sum => i _.
have below i' : (i' < j)%N -> (i' <= j.-1)%N by move=> lt; rewrite -ltnS prednK // (leq_trans _ lt).
apply: (@le_trans _ _ (y ^+ j.-1)); last by rewrite ler_wiexpn2l // below.
rewrite -[X in _ <= _ ^+ X](subnK (below _ (ltn_ord i))) exprD ler_wpmul2l ?exprn_ge0 //.
by rewrite ler_expn2r ?nnegrE.
Qed.

(** The bound on the other coefficients. *)
Definition weight p := \sum_(j < size p) j%:R * `|p`_j|.

Lemma weight_ge0 p : 0 <= weight p.
Proof. by apply: sumr_ge0 => j _; rewrite mulr_ge0 ?ler0n. Qed.

Lemma increases_near_zero p m x y : (0 < m)%N -> (forall j, (j < m)%N -> p`_j = 0) -> 0 < p`_m ->
  0 <= x -> x < y -> y <= 1 -> y * weight p < p`_m -> p.[x] < p.[y].
Proof.
move=> m0 low pm x0 xy y1 small; have y0 : 0 < y := le_lt_trans x0 xy; have xy' := ltW xy.
have ms : (m < size p)%N by rewrite ltnNge; apply/negP => /leq_sizeP/(_ m (leqnn m)) pm0; rewrite pm0 ltxx in pm.
rewrite -subr_gt0 !horner_coef -sumrB (bigD1 (Ordinal ms)) //= -mulrBr.
apply: (@lt_le_trans _ _ ((y - x) * y ^+ m.-1 * (p`_m - y * weight p))).
  by rewrite !mulr_gt0 ?subr_gt0 ?exprn_gt0.
rewrite mulrBr; apply: ler_add.
  by rewrite mulrC ler_pmul2l // power_difference_ge.
rewrite -mulrN mulrN ler_oppl -sumrN /weight mulrA -[_ * y ^+ _ * y]mulrA -exprSr prednK // mulr_sumr.
rewrite [X in _ <= X](bigD1 (Ordinal ms)) //= -[X in X <= _]add0r ler_add //.
  by rewrite !mulr_ge0 ?subr_ge0 ?exprn_ge0 ?ler0n // ltW.
apply: ler_sum => j jm; rewrite -mulrBr -mulrN.
have [lt|ge] := ltnP j m; first by rewrite low // mul0r !mulr_ge0 ?subr_ge0 ?exprn_ge0 ?ler0n // ltW.
have mj : (m < j)%N by rewrite ltn_neqAle ge andbT eq_sym; apply: contra jm => /eqP jm; apply/eqP/val_inj.
apply: le_trans (ler_norm _) _; rewrite normrM normrN [X in _ * X]ger0_norm; last first.
  by rewrite subr_ge0 ler_expn2r ?nnegrE // ltW.
rewrite mulrC; apply: le_trans (ler_wpmul2r (normr_ge0 _) (power_difference_le x0 xy' y1 mj)) _.
by rewrite -!mulrA [y ^+ m * _]mulrCA.
Qed.
End NearZero.

Theorem eventually_decreasing (R : archiFieldType) (p : {poly R}) :
  p`_0 = 0 -> (forall b, (0 < b)%N -> 0 <= p.[b%:R^-1]) ->
  p = 0 \/ exists b0, (0 < b0)%N /\ forall b b', (b0 <= b)%N -> (b < b')%N -> p.[b'%:R^-1] < p.[b%:R^-1].
Proof.
move=> p0 p_ge0; have [->|pN0] := eqVneq p 0; [by left | right].
have some : exists m, p`_m != 0 by exists (size p).-1; rewrite -/(lead_coef p) lead_coef_eq0.
case: (ex_minnP some) => m pm minimal.
have low j : (j < m)%N -> p`_j = 0 by move=> jm; apply/eqP; apply: contraTT jm => /minimal; rewrite -leqNgt.
have m0 : (0 < m)%N by case: m pm {minimal low} => //; rewrite p0 eqxx.
have near (q : {poly R}) : (forall j, (j < m)%N -> q`_j = 0) -> 0 < q`_m ->
    exists b0, (0 < b0)%N /\ forall b x, (b0 <= b)%N -> 0 <= x -> x < b%:R^-1 -> q.[x] < q.[b%:R^-1].
  move=> qlow qm; exists (Num.bound (weight q / q`_m)).+1; split=> // b x bb x0 xb.
  have b_gt0 : 0 < b%:R :> R by rewrite ltr0n (leq_trans _ bb).
  apply: (increases_near_zero m0) => //; first by rewrite invf_le1 // (ler_nat R 1) (leq_trans _ bb).
  rewrite mulrC ltr_pdivr_mulr // mulrC -ltr_pdivr_mulr //.
  apply: lt_le_trans (archi_boundP _) _; first by rewrite divr_ge0 ?weight_ge0 // ltW.
  by rewrite ler_nat (leq_trans _ bb).
have pm_gt0 : 0 < p`_m.
  rewrite lt_neqAle eq_sym pm leNgt; apply/negP => pm_lt0.
  have low' j : (j < m)%N -> (- p)`_j = 0 by move=> jm; rewrite coefN low ?oppr0.
  have pm' : 0 < (- p)`_m by rewrite coefN oppr_gt0.
  have [b0 [b0_gt0 /(_ b0 0 (leqnn _) (lexx _))]] := near _ low' pm'.
  rewrite invr_gt0 ltr0n b0_gt0 !hornerN horner_coef0 p0 oppr0 oppr_gt0 => /(_ isT).
  by rewrite ltNge p_ge0.
have [b0 [b0_gt0 falls]] := near p low pm_gt0; exists b0; split=> // b b' bb bb'.
apply: falls => //; first by rewrite invr_ge0 ler0n.
have b_gt0 := leq_trans b0_gt0 bb.
by rewrite ltf_pinv ?posrE ?ltr0n ?ltr_nat // (ltn_trans b_gt0).
Qed.
