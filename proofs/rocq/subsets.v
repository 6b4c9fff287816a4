(** * Moments of a mean over a subset are polynomials in 1/b (row "polynomial" of the ledger: without replacement)

    n examples, and a subset of b of them, all equally likely; f_0, ..., f_k functions of an example.  At b = 1, ..., n
    the expectation of the product of their means over the subset is the value at 1/b of a polynomial of degree at most
    k ([moment_of_subset_means]).

    d given examples are all in a subset of b with probability C(b, d)/C(n, d): so the moment of the sums is a
    combination of C(b, 1), ..., C(b, k + 1), as it is for independent draws. *)

From mathcomp Require Import all_ssreflect all_algebra.
From linvar Require Import sampling polynomial.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

(** C(n, b) C(b, d) = C(n, d) C(n - d, n - b): choose b and d of those, or d and those that are left out. *)
Lemma choose_parts d e r : ('C(d + e + r, d + e) * 'C(d + e, d) = 'C(d + e + r, d) * 'C(e + r, r))%N.
Proof.
have first := bin_fact (leq_addr r (d + e)); have second := bin_fact (leq_addr e d).
have third := bin_fact (leq_addr (e + r) d); have fourth := bin_fact (leq_addl e r).
move: first second third fourth; rewrite !addKn addnK addnA => first second third fourth.
apply/eqP; rewrite -(@eqn_pmul2r (d`! * e`! * r`!)) ?muln_gt0 ?fact_gt0 //; apply/eqP.
transitivity (d + e + r)`!; first by rewrite -first -second !mulnA.
by rewrite -third -fourth -!mulnA; congr (_ * _)%N; rewrite mulnCA; congr (_ * (_ * _))%N; rewrite mulnC.
Qed.

Lemma choose_twice n b d : (b <= n)%N -> (d <= n)%N -> ('C(n, b) * 'C(b, d) = 'C(n, d) * 'C(n - d, n - b))%N.
Proof.
move=> bn dn; have [db|bd] := leqP d b; last first.
  have none : (n - d < n - b)%N by rewrite ltn_sub2l // (leq_trans bd).
  by rewrite (bin_small bd) (bin_small none) !muln0.
have := choose_parts d (b - d) (n - b); rewrite subnKC // subnKC // => ->.
by rewrite addnC addnBA // subnK.
Qed.

Section Subsets.
Variables (R : realFieldType) (n : nat).
Implicit Types (A B : {set 'I_n}) (b : nat).

(** Subsets of b examples that contain B: their complements are subsets of n - b examples of the complement of B. *)
Lemma count_supersets B b : (b <= n)%N -> (\sum_(A : {set 'I_n} | #|A| == b) (B \subset A) = 'C(n - #|B|, n - b))%N.
Proof.
move=> bn; have -> : (n - #|B| = #|~: B|)%N by rewrite -[X in (X - _)%N](card_ord n) -(cardsC B) addKn.
rewrite -(cards_draws (~: B)) -sum1_card big_mkcond [RHS]big_mkcond (reindex_inj (@setC_inj _)) /=.
apply: eq_bigr => A _; rewrite inE subsetC; have := cardsC A; rewrite card_ord => all.
have -> : (#|~: A| == b) = (#|A| == n - b)%N.
  move: #|A| #|~: A| all bn => x y <- bxy; apply/eqP/eqP => [->|E]; first by rewrite addnK.
  by have /eqP := subnK bxy; rewrite -E eqn_add2l => /eqP.
by case: (A \subset ~: B); case: eqP.
Qed.

(** The probability that a subset of b examples contains B. *)
Lemma chance_of_superset B b : (b <= n)%N ->
  \sum_(A : {set 'I_n}) subset_chance R b A * (B \subset A)%:R = 'C(b, #|B|)%:R / 'C(n, #|B|)%:R.
Proof.
move=> bn; have Bn : (#|B| <= n)%N by rewrite -[X in (_ <= X)%N]card_ord max_card.
have N0 k : (k <= n)%N -> 'C(n, k)%:R != 0 :> R by move=> kn; rewrite pnatr_eq0 -lt0n bin_gt0.
transitivity (('C(n - #|B|, n - b))%:R / 'C(n, b)%:R : R).
  rewrite -count_supersets // natr_sum mulr_suml [RHS]big_mkcond; apply: eq_bigr => A _.
  by rewrite /subset_chance; case: ifP => _; rewrite ?mul0r // mul1r mulrC.
apply: (mulIf (N0 _ bn)); rewrite divfK ?N0 //; apply: (mulIf (N0 _ Bn)).
by rewrite mulrAC divfK ?N0 // -!natrM mulnC -choose_twice // mulnC.
Qed.

(** ** Sums over a subset *)

Section Moments.
Variables (k : nat) (f : 'I_k.+1 -> 'I_n -> R).
Local Notation choices := {ffun 'I_k.+1 -> 'I_n}.
Implicit Type g : choices.

(** The examples that g takes, 1 to k + 1 of them. *)
Definition taken g := g @: [set: 'I_k.+1].

Lemma taken_size g : (0 < #|taken g| <= k.+1)%N.
Proof.
rewrite card_gt0; apply/andP; split; first by apply/set0Pn; exists (g ord0); apply: imset_f.
by rewrite (leq_trans (leq_imset_card _ _)) // cardsT card_ord.
Qed.

Lemma all_in A g : \prod_j (g j \in A)%:R = (taken g \subset A)%:R :> R.
Proof.
have [/subsetP gA|/subsetPn[i /imsetP[j _ ->] gjA]] := boolP (taken g \subset A).
  by rewrite big1 // => j _; rewrite gA // imset_f.
by rewrite (bigD1 j) //= (negPf gjA) mul0r.
Qed.

(** A product of sums over A is a sum over all choices g of an example for each, those that are in A. *)
Lemma product_of_sums A :
  \prod_j (\sum_(i in A) f j i) = \sum_(g : choices) (\prod_j f j (g j)) * (taken g \subset A)%:R.
Proof.
transitivity (\prod_j \sum_i (f j i * (i \in A)%:R)).
  apply: eq_bigr => j _; rewrite big_mkcond; apply: eq_bigr => i _.
  by case: (i \in A); rewrite ?mulr1 ?mulr0.
by rewrite bigA_distr_bigA; apply: eq_bigr => g _; rewrite big_split all_in.
Qed.

Lemma moment_of_subset_sums b : (b <= n)%N ->
  \sum_(A : {set 'I_n}) subset_chance R b A * \prod_j (\sum_(i in A) f j i)
  = \sum_(g : choices) (\prod_j f j (g j)) / 'C(n, #|taken g|)%:R * 'C(b, #|taken g|)%:R.
Proof.
move=> bn; under eq_bigr do rewrite product_of_sums mulr_sumr.
rewrite exchange_big; apply: eq_bigr => g _.
under eq_bigr do rewrite mulrCA; rewrite -mulr_sumr chance_of_superset //.
by rewrite [_ / _]mulrC mulrA.
Qed.

Theorem moment_of_subset_means : exists q : {poly R}, (size q <= k.+1)%N /\
  forall b, (0 < b)%N -> (b <= n)%N ->
  \sum_(A : {set 'I_n}) subset_chance R b A * \prod_j ((\sum_(i in A) f j i) / b%:R) = q.[b%:R^-1].
Proof.
pose c g := (\prod_j f j (g j)) / 'C(n, #|taken g|)%:R.
exists (\sum_(g : choices) c g *: binomial_over_power R k.+1 #|taken g|.-1).
have small g : (#|taken g|.-1 < k.+1)%N by have /andP[d0 dk] := taken_size g; rewrite prednK.
split=> [|b b0 bn].
  apply: leq_trans (size_sum _ _ _) _; apply/bigmax_leqP => g _.
  by apply: leq_trans (size_scale_leq _ _) _; exact: size_binomial_over_power.
transitivity (b%:R ^- k.+1 * \sum_(A : {set 'I_n}) subset_chance R b A * \prod_j (\sum_(i in A) f j i)).
  rewrite mulr_sumr; apply: eq_bigr => A _; rewrite big_split /= prodr_const card_ord exprVn.
  by rewrite [X in _ * X]mulrC mulrCA.
rewrite moment_of_subset_sums // mulr_sumr horner_sum; apply: eq_bigr => g _.
have /andP[d0 _] := taken_size g.
by rewrite hornerZ -binomial_over_powerE // prednK // mulrCA; congr (_ * _); rewrite mulrC.
Qed.
End Moments.
End Subsets.
