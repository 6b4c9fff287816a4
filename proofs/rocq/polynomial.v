(** * Moments of a batch mean are polynomials in 1/b (row "polynomial" of the ledger: data sets, independent draws)

    n examples with probabilities p; f_1, ..., f_k functions of an example.  The expectation of the product of their
    means over b independent draws is a polynomial in 1/b of degree at most k - 1 ([moment_of_batch_means]).

    There are no partitions here, as there are in ../polynomial-in-one-over-b.md: one draw more changes the moment of
    the sums by moments of fewer of them, so that it is a combination of C(b, 0), ..., C(b, k). *)

From mathcomp Require Import all_ssreflect all_algebra.
From linvar Require Import sampling.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

(** ** Combinations of binomial coefficients *)

Section Newton.
Variable R : realFieldType.

(** F(b) = sum_{j <= d} a_j C(b, j). *)
Definition newton d (F : nat -> R) := exists a : nat -> R, forall b, F b = \sum_(j < d.+1) a j * 'C(b, j)%:R.

Lemma newton_zero : newton 0 (fun _ => 0).
Proof. by exists (fun _ => 0) => b; rewrite big_ord1 mul0r. Qed.

Lemma newton_const x : newton 0 (fun _ => x).
Proof. by exists (fun _ => x) => b; rewrite big_ord1 bin0 mulr1. Qed.

Lemma newton_wider d d' F : (d <= d')%N -> newton d F -> newton d' F.
Proof.
move=> dd' [a FE]; exists (fun j => if (j <= d)%N then a j else 0) => b.
rewrite FE (big_ord_widen d'.+1 (fun j => a j * 'C(b, j)%:R)) // big_mkcond; apply: eq_bigr => j _.
by rewrite ltnS; case: ifP => //; rewrite mul0r.
Qed.

Lemma newton_add d F G : newton d F -> newton d G -> newton d (fun b => F b + G b).
Proof.
move=> [a FE] [a' GE]; exists (fun j => a j + a' j) => b.
by rewrite FE GE -big_split; apply: eq_bigr => j _; rewrite mulrDl.
Qed.

Lemma newton_scale d x F : newton d F -> newton d (fun b => x * F b).
Proof.
move=> [a FE]; exists (fun j => x * a j) => b.
by rewrite FE mulr_sumr; apply: eq_bigr => j _; rewrite mulrA.
Qed.

(** What grows by such a combination is one, of the next degree: C(b + 1, j + 1) = C(b, j + 1) + C(b, j). *)
Lemma newton_summed d F D : (forall b, F b.+1 = F b + D b) -> newton d D -> newton d.+1 F.
Proof.
move=> step [a DE]; exists (fun j => if j is i.+1 then a i else F 0%N) => b.
rewrite big_ord_recl bin0 mulr1 /=; elim: b => [|b IH].
  by rewrite big1 ?addr0 // => j _; rewrite bin0n mulr0.
rewrite step IH DE -addrA -big_split; congr (_ + _); apply: eq_bigr => j _ /=.
by rewrite binS natrD mulrDr.
Qed.
End Newton.

(** ** A product of sums, where each sum has two parts *)

Section Splits.
Variables (R : comRingType) (T : Type).

(** All ways to split a list into two, each in its order. *)
Fixpoint splits (l : seq T) : seq (seq T * seq T) :=
  if l is x :: l' then [seq (x :: AB.1, AB.2) | AB <- splits l'] ++ [seq (AB.1, x :: AB.2) | AB <- splits l']
  else [:: ([::], [::])].

Lemma product_of_two_parts (F G : T -> R) l :
  \prod_(x <- l) (F x + G x) = \sum_(AB <- splits l) (\prod_(x <- AB.1) F x) * \prod_(x <- AB.2) G x.
Proof.
elim: l => [|x l IH] /=; first by rewrite big_seq1 !big_nil mulr1.
rewrite big_cons IH mulrDl big_cat !big_map !mulr_sumr /=; congr (_ + _); apply: eq_bigr => AB _.
  by rewrite big_cons mulrA.
by rewrite big_cons mulrCA.
Qed.

(** In all of them but the last the second part is shorter than the list. *)
Lemma last_split l : exists2 P, splits l = rcons P ([::], l) & all (fun AB => size AB.2 < size l)%N P.
Proof.
elim: l => [|x l [P lE HP]] /=; first by exists [::].
exists ([seq (x :: AB.1, AB.2) | AB <- splits l] ++ [seq (AB.1, x :: AB.2) | AB <- P]).
  by rewrite {2}lE map_rcons rcons_cat.
rewrite all_cat !all_map lE all_rcons /= ltnSn; apply/andP; split; last exact: sub_all HP.
by apply: sub_all HP => AB /= small; rewrite ltnS ltnW.
Qed.
End Splits.

(** ** Moments of sums over b independent draws *)

Section Moments.
Variables (R : realFieldType) (n : nat) (p : law R n).
Implicit Type fs : seq ('I_n -> R).

Definition moment_of_one fs := \sum_i p i * \prod_(f <- fs) f i.
Definition moment_of_sums fs b := expectation p b (fun t => \prod_(f <- fs) \sum_(i <- t) f i).

Lemma expectation_sum b (I : Type) (r : seq I) (F : I -> seq 'I_n -> R) :
  expectation p b (fun t => \sum_(x <- r) F x t) = \sum_(x <- r) expectation p b (F x).
Proof. by rewrite /expectation exchange_big; apply: eq_bigr => t _; rewrite mulr_sumr. Qed.

(** One draw more: some of the functions are taken of it, the others of the draws before it. *)
Lemma moment_of_sums_next fs b :
  moment_of_sums fs b.+1 = \sum_(AB <- splits fs) moment_of_one AB.1 * moment_of_sums AB.2 b.
Proof.
rewrite /moment_of_sums expectation_next.
transitivity (\sum_i \sum_(AB <- splits fs) (p i * \prod_(f <- AB.1) f i) * moment_of_sums AB.2 b).
  apply: eq_bigr => i _; under [RHS]eq_bigr do rewrite -mulrA -expectationZ.
  rewrite -mulr_sumr -expectation_sum; congr (_ * _); apply: eq_expectation => t.
  by rewrite -product_of_two_parts; apply: eq_bigr => f _; rewrite big_cons.
by rewrite exchange_big; apply: eq_bigr => AB _; rewrite -mulr_suml.
Qed.

Lemma moment_of_none : moment_of_one [::] = 1.
Proof. by rewrite -[RHS](prob_sum p); apply: eq_bigr => i _; rewrite big_nil mulr1. Qed.

Lemma moment_of_sums_newton fs : newton (size fs) (moment_of_sums fs).
Proof.
have [k] := ubnP (size fs); elim: k fs => // k IH [|f fs] size_k.
  have [a aE] := newton_const (1 : R); exists a => b; rewrite -aE.
  by rewrite -[RHS](expectation_const p b); apply: eq_expectation => t; rewrite big_nil.
have [P splitsE smaller] := last_split (f :: fs).
apply: (@newton_summed R (size fs) _ (fun b => \sum_(AB <- P) moment_of_one AB.1 * moment_of_sums AB.2 b)).
  by move=> b; rewrite moment_of_sums_next splitsE -cats1 big_cat big_seq1 /= moment_of_none mul1r addrC.
elim: P smaller {splitsE} => [|[A B] P IHP] /=.
  by move=> _; have [a aE] := newton_wider (leq0n (size fs)) (newton_zero R); exists a => b; rewrite big_nil; exact: aE.
case/andP=> sB /IHP HP.
have HB : newton (size fs) (fun b => moment_of_one A * moment_of_sums B b).
  by apply: newton_scale; apply: (newton_wider (d := size B)) => //; apply: IH; exact: leq_trans sB _.
by have [a aE] := newton_add HB HP; exists a => b; rewrite big_cons; exact: aE.
Qed.

(** ** From sums to means: b^-k C(b, j) is a polynomial in 1/b of degree k - 1 for 1 <= j <= k *)

Lemma falling_factorial b m : (b ^_ m)%:R = \prod_(l < m) (b%:R - l%:R) :> R.
Proof.
elim: m => [|m IH]; first by rewrite big_ord0.
rewrite ffactnSr natrM IH big_ord_recr /=.
have [mb|bm] := leqP m b; first by rewrite natrB.
by rewrite -IH ffact_small // !mul0r.
Qed.

(** C(b, j + 1)/b^k in u = 1/b: u^(k - j - 1) (1 - u) ... (1 - j u)/(j + 1)!. *)
Definition binomial_over_power k j : {poly R} :=
  ((j.+1)`!%:R^-1)%:P * ('X^(k - j.+1) * \prod_(l < j) (1 - (l.+1)%:R *: 'X)).

Lemma binomial_over_powerE k j b : (j < k)%N -> (0 < b)%N ->
  'C(b, j.+1)%:R / b%:R ^+ k = (binomial_over_power k j).[b%:R^-1].
Proof.
move=> jk b0; have bN0 : b%:R != 0 :> R by rewrite pnatr_eq0 -lt0n.
have fN0 : (j.+1)`!%:R != 0 :> R by rewrite pnatr_eq0 -lt0n fact_gt0.
rewrite /binomial_over_power !hornerM hornerC hornerXn horner_prod.
have -> : 'C(b, j.+1)%:R = (j.+1)`!%:R^-1 * \prod_(l < j.+1) (b%:R - l%:R) :> R.
  by rewrite -falling_factorial -bin_ffact natrM mulrC mulfK.
rewrite -mulrA; congr (_ * _); rewrite -{1}(subnK jk) exprD invfM mulrCA exprVn; congr (_ * _).
rewrite big_ord_recl subr0 exprS invfM mulrACA mulfV // mul1r -exprVn.
rewrite -[in b%:R^-1 ^+ j](card_ord j) -prodr_const -big_split; apply: eq_bigr => l _.
by rewrite /= hornerD hornerN hornerZ hornerX hornerC mulrBl mulfV.
Qed.

Lemma size_binomial_over_power k j : (j < k)%N -> (size (binomial_over_power k j) <= k)%N.
Proof.
move=> jk; rewrite /binomial_over_power mul_polyC; apply: leq_trans (size_scale_leq _ _) _.
have small : (size (\prod_(l < j) (1 - (l.+1)%:R *: 'X) : {poly R})%R <= j.+1)%N.
  elim: j {jk} => [|j IH]; first by rewrite big_ord0 size_poly1.
  rewrite big_ord_recr /=; apply: leq_trans (size_mul_leq _ _) _.
  have two : (size (1 - (j.+1)%:R *: 'X : {poly R})%R <= 2)%N.
    rewrite (leq_trans (size_add _ _)) // geq_max size_poly1 size_opp /=.
    by rewrite (leq_trans (size_scale_leq _ _)) // size_polyX.
  by have := leq_add IH two; rewrite addn2; case: (_ + _)%N.
apply: leq_trans (size_mul_leq _ _) _; rewrite size_polyXn addSn /=.
by rewrite (leq_trans (leq_add (leqnn _) small)) // subnK.
Qed.

Theorem moment_of_batch_means fs : (0 < size fs)%N -> exists g : {poly R},
  (size g <= size fs)%N /\
  forall b, (0 < b)%N -> expectation p b (fun t => \prod_(f <- fs) ((\sum_(i <- t) f i) / b%:R)) = g.[b%:R^-1].
Proof.
move=> k0; have [a aE] := moment_of_sums_newton fs.
exists (\sum_(j < size fs) a j.+1 *: binomial_over_power (size fs) j); split=> [|b b0].
  apply: leq_trans (size_sum _ _ _) _; apply/bigmax_leqP => j _.
  by apply: leq_trans (size_scale_leq _ _) _; exact: size_binomial_over_power.
rewrite horner_sum; under eq_bigr do rewrite hornerZ -binomial_over_powerE //.
transitivity (b%:R ^- size fs * moment_of_sums fs b).
  rewrite -expectationZ; apply: eq_expectation => t; rewrite big_split /= mulrC; congr (_ * _).
  by rewrite -exprVn; elim: {k0 a aE} fs => [|f fs IH]; rewrite ?big_nil // big_cons IH exprS.
rewrite aE big_ord_recl.
have -> : a 0%N = 0.
  have := aE 0%N; rewrite big_ord_recl bin0 mulr1 big1 => [|j _]; last by rewrite bin0n mulr0.
  rewrite addr0 => <-; rewrite /moment_of_sums expectation_none; case: fs k0 {aE} => // f fs _.
  by rewrite big_cons big_nil mul0r.
rewrite mul0r add0r mulr_sumr; apply: eq_bigr => j _.
by rewrite mulrCA; congr (_ * _); rewrite mulrC.
Qed.
End Moments.
