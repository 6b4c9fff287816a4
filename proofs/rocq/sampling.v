(** * The sampling factor (row "factor" of the ledger)

    n examples with probabilities p_1, ..., p_n.  The mean over a batch of b of them has c times the covariance of one
    example, with

    - c = 1/b                  for b independent draws                            ([iid]),
    - c = (n - b)/(b (n - 1))  for a subset of b examples, all equally likely     ([without_replacement]).

    In words: ../sampling-factor.md. *)

From mathcomp Require Import all_ssreflect all_algebra fingroup perm.
From mathcomp Require Import ring.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

(** ** What a way of sampling is *)

(** The law of one example: a probability for each of n. *)
Record law (R : realFieldType) (n : nat) := Law {
  prob :> 'I_n -> R;
  prob_ge0 : forall i, 0 <= prob i;
  prob_sum : \sum_i prob i = 1 }.

(** A way of sampling from that law: finitely many batches B with their probabilities, and in each of them the weight
    of example i in the mean over the batch.  Weights have the right mean, and c times the covariances that the
    indicators of one draw have. *)
Record sampling (R : realFieldType) (n : nat) (p : law R n) := Sampling {
  batch :> finType;
  chance : batch -> R;
  weight : batch -> 'I_n -> R;
  factor : R;
  chance_ge0 : forall B, 0 <= chance B;
  chance_sum : \sum_B chance B = 1;
  factor_ge0 : 0 <= factor;
  weight_mean : forall i, \sum_B chance B * weight B i = p i;
  weight_covariance : forall i j,
    \sum_B chance B * ((weight B i - p i) * (weight B j - p j)) = factor * ((i == j)%:R * p i - p i * p j) }.

(** Cov(x, y) = E x y - E x E y, on any finite probability space. *)
Lemma covariance_is_product_less_means (R : comRingType) (T : finType) (c x y : T -> R) (m m' : R) :
  \sum_t c t = 1 -> \sum_t c t * x t = m -> \sum_t c t * y t = m' ->
  \sum_t c t * ((x t - m) * (y t - m')) = \sum_t c t * (x t * y t) - m * m'.
Proof.
move=> c1 xm ym.
transitivity (\sum_t (c t * (x t * y t) - m' * (c t * x t) - m * (c t * y t) + m * m' * c t)).
  by apply: eq_bigr => t _; ring.
by rewrite big_split /= !sumrB -!mulr_sumr c1 xm ym mulr1 [m' * m]mulrC subrK.
Qed.

(** ** The factor *)

Section Factor.
Variables (R : realFieldType) (n : nat) (p : law R n) (S : sampling p).
Implicit Types f h : 'I_n -> R.

(** The expectation of a function of one example, and its mean over a batch. *)
Definition average f := \sum_i p i * f i.
Definition batch_mean f (B : S) := \sum_i weight B i * f i.

Theorem mean_of_batch_mean f : \sum_(B : S) chance B * batch_mean f B = average f.
Proof.
under eq_bigr do rewrite mulr_sumr.
rewrite exchange_big; apply: eq_bigr => i _ /=.
by rewrite -(weight_mean S i) mulr_suml; apply: eq_bigr => B _; rewrite mulrA.
Qed.

(** The deviation of a batch mean is linear in those of the weights, so its covariances are bilinear in theirs. *)
Lemma batch_mean_deviation f B : batch_mean f B - average f = \sum_i (weight B i - p i) * f i.
Proof. by rewrite -sumrB; apply: eq_bigr => i _; rewrite mulrBl. Qed.

Lemma covariance_by_weights f h :
  \sum_(B : S) chance B * ((batch_mean f B - average f) * (batch_mean h B - average h))
  = \sum_i \sum_j f i * h j * (factor S * ((i == j)%:R * p i - p i * p j)).
Proof.
transitivity (\sum_(B : S) \sum_i \sum_j f i * h j * (chance B * ((weight B i - p i) * (weight B j - p j)))).
  apply: eq_bigr => B _; rewrite !batch_mean_deviation big_distrlr mulr_sumr; apply: eq_bigr => i _ /=.
  by rewrite mulr_sumr; apply: eq_bigr => j _; ring.
rewrite exchange_big; apply: eq_bigr => i _; rewrite exchange_big; apply: eq_bigr => j _.
by rewrite -mulr_sumr weight_covariance.
Qed.

Lemma covariance_of_one f h :
  average (fun i => (f i - average f) * (h i - average h)) = \sum_i \sum_j f i * h j * ((i == j)%:R * p i - p i * p j).
Proof.
rewrite /average covariance_is_product_less_means ?prob_sum // big_distrlr -sumrB; apply: eq_bigr => i _ /=.
under [RHS]eq_bigr do rewrite mulrBr.
rewrite sumrB; congr (_ - _); last by apply: eq_bigr => j _; ring.
rewrite (bigD1 i) //= eqxx big1 => [|j]; first by rewrite /= mul1r addr0 mulrC.
by rewrite eq_sym => /negPf->; rewrite mul0r mulr0.
Qed.

(** Cov(mean of a batch) = c Cov(one example), for any two functions of an example, hence for the entries of vectors. *)
Theorem sampling_factor f h :
  \sum_(B : S) chance B * ((batch_mean f B - average f) * (batch_mean h B - average h))
  = factor S * average (fun i => (f i - average f) * (h i - average h)).
Proof.
rewrite covariance_by_weights covariance_of_one mulr_sumr; apply: eq_bigr => i _.
by rewrite mulr_sumr; apply: eq_bigr => j _; ring.
Qed.
End Factor.

(** ** b independent draws *)

Section Iid.
Variables (R : realFieldType) (n : nat) (p : law R n).

(** The expectation over b independent draws, listed in their order. *)
Definition expectation b (F : seq 'I_n -> R) := \sum_(t : b.-tuple 'I_n) (\prod_(i <- t) p i) * F t.

Lemma expectation_none F : expectation 0 F = F [::].
Proof.
rewrite /expectation (bigD1 [tuple]) //= big_nil mul1r big1 ?addr0 // => t.
by rewrite (tuple0 t) => /eqP[].
Qed.

(** One draw more: it is i with probability p_i, whatever the others are. *)
Lemma expectation_next b F : expectation b.+1 F = \sum_i p i * expectation b (fun t => F (i :: t)).
Proof.
pose cons (it : 'I_n * b.-tuple 'I_n) := [tuple of it.1 :: it.2].
have bij : bijective cons.
  exists (fun t => (thead t, [tuple of behead t])) => [[i t]|t] /=; last by rewrite [RHS]tuple_eta.
  by congr pair; apply: val_inj.
rewrite /expectation (reindex cons) /=; last exact: onW_bij.
rewrite -(pair_bigA _ (fun i (t : b.-tuple 'I_n) => (\prod_(j <- i :: t) p j) * F (i :: t))) /=.
by apply: eq_bigr => i _; rewrite mulr_sumr; apply: eq_bigr => t _; rewrite big_cons mulrA.
Qed.

Lemma eq_expectation b F F' : F =1 F' -> expectation b F = expectation b F'.
Proof. by move=> FF'; apply: eq_bigr => t _; rewrite FF'. Qed.

Lemma expectationD b F F' : expectation b (fun t => F t + F' t) = expectation b F + expectation b F'.
Proof. by rewrite -big_split; apply: eq_bigr => t _; rewrite mulrDr. Qed.

Lemma expectationZ b a F : expectation b (fun t => a * F t) = a * expectation b F.
Proof. by rewrite mulr_sumr; apply: eq_bigr => t _; rewrite mulrCA. Qed.

Lemma expectation_const b a : expectation b (fun _ => a) = a.
Proof.
elim: b => [|b IH]; first exact: expectation_none.
by rewrite expectation_next IH -mulr_suml prob_sum mul1r.
Qed.

Lemma draw_indicator i : \sum_j p j * (j == i)%:R = p i.
Proof. by rewrite (bigD1 i) //= eqxx mulr1 big1 ?addr0 // => j /negPf->; rewrite mulr0. Qed.

(** A sum over draws, by how often an example is drawn. *)
Lemma sum_by_counts (f : 'I_n -> R) (t : seq 'I_n) : \sum_(j <- t) f j = \sum_i (count_mem i t)%:R * f i.
Proof.
elim: t => [|j t IH]; first by rewrite big_nil big1 // => i _; rewrite mul0r.
rewrite big_cons IH; under [RHS]eq_bigr do rewrite natrD mulrDl.
rewrite big_split; congr (_ + _); rewrite (bigD1 j) //= eqxx mul1r big1 ?addr0 // => i.
by rewrite eq_sym => /negPf->; rewrite mul0r.
Qed.

(** How often an example is drawn: means and products, by induction over the draws. *)
Lemma expectation_count b i : expectation b (fun t => (count_mem i t)%:R) = b%:R * p i.
Proof.
elim: b => [|b IH]; first by rewrite expectation_none mul0r.
rewrite expectation_next.
under eq_bigr do rewrite (eq_expectation _ (fun t => natrD _ _ _)) expectationD expectation_const IH mulrDr.
by rewrite big_split /= draw_indicator -mulr_suml prob_sum mul1r mulrSr; ring.
Qed.

Lemma expectation_counts b i j :
  expectation b (fun t => (count_mem i t)%:R * (count_mem j t)%:R)
  = b%:R * ((i == j)%:R * p i) + b%:R * (b%:R - 1) * (p i * p j).
Proof.
elim: b => [|b IH]; first by rewrite expectation_none !mul0r addr0.
rewrite expectation_next.
pose both k : R := (k == i)%:R * (k == j)%:R.
transitivity (\sum_k (p k * both k + b%:R * p j * (p k * (k == i)%:R) + b%:R * p i * (p k * (k == j)%:R)
                      + p k * expectation b (fun t => (count_mem i t)%:R * (count_mem j t)%:R))).
  apply: eq_bigr => k _.
  rewrite (eq_expectation _ (F' := fun t => both k + (k == i)%:R * (count_mem j t)%:R
    + (k == j)%:R * (count_mem i t)%:R + (count_mem i t)%:R * (count_mem j t)%:R)); last first.
    by move=> t; rewrite /= !natrD mulrDl !mulrDr [(count_mem i t)%:R * (k == j)%:R]mulrC !addrA.
  by rewrite !expectationD !expectationZ expectation_const !expectation_count -/(both k); ring.
rewrite !big_split /= -!mulr_sumr -mulr_suml prob_sum !draw_indicator IH.
suff -> : \sum_k p k * both k = (i == j)%:R * p i by rewrite mulrSr; ring.
under eq_bigr do rewrite mulrA.
rewrite (bigD1 i) //= eqxx mulr1 big1 ?addr0 1?mulrC // => k /negPf->; by rewrite mulr0 mul0r.
Qed.

Variable b : nat.
Hypothesis b_gt0 : (0 < b)%N.
Let bN0 : b%:R != 0 :> R. Proof. by rewrite pnatr_eq0 -lt0n. Qed.

Definition iid_chance (t : b.-tuple 'I_n) : R := \prod_(i <- t) p i.
Definition iid_weight (t : b.-tuple 'I_n) (i : 'I_n) : R := (count_mem i t)%:R / b%:R.
Definition iid_factor : R := b%:R^-1.

Lemma iid_chance_ge0 t : 0 <= iid_chance t.
Proof. by apply: prodr_ge0 => i _; exact: prob_ge0. Qed.

Lemma iid_chance_sum : \sum_t iid_chance t = 1.
Proof. by rewrite -[RHS](expectation_const b); apply: eq_bigr => t _; rewrite mulr1. Qed.

Lemma iid_factor_ge0 : 0 <= iid_factor. Proof. by rewrite invr_ge0 ler0n. Qed.

Lemma iid_weight_mean i : \sum_t iid_chance t * iid_weight t i = p i.
Proof.
under eq_bigr do rewrite /iid_weight mulrA.
by rewrite -mulr_suml -[X in X / _]/(expectation b (fun t => (count_mem i t)%:R)) expectation_count; field.
Qed.

Lemma iid_weight_covariance i j :
  \sum_t iid_chance t * ((iid_weight t i - p i) * (iid_weight t j - p j))
  = iid_factor * ((i == j)%:R * p i - p i * p j).
Proof.
rewrite covariance_is_product_less_means ?iid_chance_sum ?iid_weight_mean //.
have -> : \sum_t iid_chance t * (iid_weight t i * iid_weight t j)
    = b%:R^-1 ^+ 2 * expectation b (fun t => (count_mem i t)%:R * (count_mem j t)%:R).
  by rewrite mulr_sumr; apply: eq_bigr => t _; rewrite /iid_weight -/(iid_chance t); ring.
by rewrite expectation_counts /iid_factor; field.
Qed.

Definition iid : sampling p :=
  Sampling iid_chance_ge0 iid_chance_sum iid_factor_ge0 iid_weight_mean iid_weight_covariance.
End Iid.

(** ** A subset of b examples, all equally likely *)

Section WithoutReplacement.
Variables (R : realFieldType) (n b : nat).
Hypotheses (n_gt0 : (0 < n)%N) (b_gt0 : (0 < b)%N) (b_le_n : (b <= n)%N).
Implicit Types (A : {set 'I_n}) (i j k : 'I_n).

Let nN0 : n%:R != 0 :> R. Proof. by rewrite pnatr_eq0 -lt0n. Qed.
Let bN0 : b%:R != 0 :> R. Proof. by rewrite pnatr_eq0 -lt0n. Qed.

(** All examples are equally likely. *)
Definition uniform : law R n.
Proof.
apply: (@Law R n (fun _ => n%:R^-1)) => [_|]; first by rewrite invr_ge0 ler0n.
by rewrite sumr_const card_ord -[LHS]mulr_natr mulVf.
Defined.

Definition subset_chance A : R := (#|A| == b)%:R / 'C(n, b)%:R.
Definition subset_weight A i : R := (i \in A)%:R / b%:R.
(** For n = 1, where nothing varies, division by zero makes this 0. *)
Definition subset_factor : R := (n%:R - b%:R) / (b%:R * (n%:R - 1)).

Lemma subset_chance_ge0 A : 0 <= subset_chance A.
Proof. by rewrite divr_ge0 ?ler0n. Qed.

Lemma subset_chance_sum : \sum_A subset_chance A = 1.
Proof.
rewrite -mulr_suml -natr_sum.
have -> : (\sum_(A : {set 'I_n}) (#|A| == b) = 'C(n, b))%N.
  rewrite -[in RHS](card_ord n) -card_draws -sum1_card [RHS]big_mkcond /=.
  by apply: eq_bigr => A _; rewrite inE; case: eqP.
by rewrite divff // pnatr_eq0 -lt0n bin_gt0.
Qed.

(** A batch has b members. *)
Lemma subset_members A : subset_chance A * (\sum_i (i \in A)%:R) = b%:R * subset_chance A.
Proof.
have -> : \sum_i (i \in A)%:R = #|A|%:R :> R.
  by rewrite -natr_sum -sum1_card [in RHS]big_mkcond.
by rewrite /subset_chance; case: eqP => [->|_]; rewrite ?mul0r ?mulr0 // mulrC.
Qed.

(** The probability that i is drawn, and that i and j both are: by symmetry. *)
Let one i := \sum_A subset_chance A * (i \in A)%:R.
Let both i j := \sum_A subset_chance A * ((i \in A)%:R * (j \in A)%:R).

Lemma subset_symmetry (s : {perm 'I_n}) (F : {set 'I_n} -> R) :
  \sum_A subset_chance A * F A = \sum_A subset_chance A * F (s @: A).
Proof.
rewrite (reindex_inj (imset_inj (@perm_inj _ s))) /=; apply: eq_bigr => A _.
by rewrite /subset_chance card_imset //; exact: perm_inj.
Qed.

Let swapped j k A : (j \in tperm j k @: A) = (k \in A).
Proof. by rewrite -{1}(tpermR j k) mem_imset //; exact: perm_inj. Qed.

Let kept i j k A : j != i -> k != i -> (i \in tperm j k @: A) = (i \in A).
Proof. by move=> ji ki; rewrite -{1}(tpermD ji ki) mem_imset //; exact: perm_inj. Qed.

Lemma one_drawn i : one i = b%:R / n%:R.
Proof.
have same k : one k = one i.
  by rewrite /one (subset_symmetry (tperm k i)); apply: eq_bigr => A _; rewrite swapped.
have: \sum_k one k = b%:R.
  rewrite exchange_big; under eq_bigr do rewrite -mulr_sumr subset_members.
  by rewrite -mulr_sumr subset_chance_sum mulr1.
under eq_bigr do rewrite same.
by rewrite sumr_const card_ord => <-; rewrite -mulr_natr mulfK.
Qed.

Let two_examples i j : i != j -> n%:R - 1 != 0 :> R.
Proof.
move=> ij; rewrite subr_eq0 (eqr_nat R n 1) gtn_eqF // -(card_ord n).
by rewrite (leq_trans _ (max_card (mem [set i; j]))) // cards2 ij.
Qed.

Lemma both_drawn i j : i != j -> both i j = b%:R * (b%:R - 1) / (n%:R * (n%:R - 1)).
Proof.
move=> ij; have n1N0 := two_examples ij.
have same k : k != i -> both i k = both i j.
  move=> ki; rewrite /both (subset_symmetry (tperm k j)); apply: eq_bigr => A _.
  by rewrite swapped kept // eq_sym.
have : \sum_k both i k = b%:R * one i.
  rewrite exchange_big /= mulr_sumr; apply: eq_bigr => A _.
  by rewrite -!mulr_sumr mulrCA subset_members mulrCA [_ * subset_chance A]mulrC.
rewrite (bigD1 i) //=; under [X in _ + X]eq_bigr => k ki do rewrite same //.
have -> : both i i = one i by apply: eq_bigr => A _; case: (i \in A); rewrite ?mulr1 ?mulr0.
rewrite sumr_const cardC1 card_ord -[_ *+ n.-1]mulr_natr -subn1 natrB // one_drawn => E.
apply: (mulIf n1N0); apply: (addrI (b%:R / n%:R)); rewrite E; field.
by rewrite nN0 n1N0.
Qed.

Lemma subset_factor_ge0 : 0 <= subset_factor.
Proof. by rewrite divr_ge0 ?subr_ge0 ?ler_nat // mulr_ge0 ?ler0n // subr_ge0 (ler_nat R 1). Qed.

Lemma subset_weight_mean i : \sum_A subset_chance A * subset_weight A i = uniform i.
Proof.
under eq_bigr do rewrite /subset_weight mulrA.
by rewrite -mulr_suml -/(one i) one_drawn /=; field; rewrite nN0 bN0.
Qed.

Lemma subset_weight_covariance i j :
  \sum_A subset_chance A * ((subset_weight A i - uniform i) * (subset_weight A j - uniform j))
  = subset_factor * ((i == j)%:R * uniform i - uniform i * uniform j).
Proof.
rewrite covariance_is_product_less_means ?subset_chance_sum ?subset_weight_mean //=.
have -> : \sum_A subset_chance A * (subset_weight A i * subset_weight A j) = both i j / b%:R ^+ 2.
  by rewrite mulr_suml; apply: eq_bigr => A _; rewrite /subset_weight; field.
rewrite /subset_factor; have [<-|ij] := eqVneq i j.
  have -> : both i i = one i by apply: eq_bigr => A _; case: (i \in A); rewrite ?mulr1 ?mulr0.
  rewrite one_drawn mul1r; have [n1|n1N0] := eqVneq (n%:R - 1 : R) 0; last by field; rewrite nN0 bN0 n1N0.
  have n_is_1 : n = 1%N by apply/eqP; rewrite -(eqr_nat R) -subr_eq0 n1.
  have b_is_1 : b = 1%N by apply/eqP; rewrite eqn_leq b_gt0 -[X in (_ <= X)%N]n_is_1 b_le_n.
  by rewrite n_is_1 b_is_1 !invr1 !mulr1 expr1n invr1 mulr1 !subrr mulr0.
have n1N0 : n%:R - 1 != 0 :> R by exact: two_examples ij.
by rewrite both_drawn // mul0r; field; rewrite nN0 bN0 n1N0.
Qed.

Definition without_replacement : sampling uniform :=
  Sampling subset_chance_ge0 subset_chance_sum subset_factor_ge0 subset_weight_mean subset_weight_covariance.
End WithoutReplacement.

(** ** Larger batches have a smaller factor *)

Lemma iid_factor_falls (R : realFieldType) b b' : (0 < b)%N -> (b < b')%N -> iid_factor R b' < iid_factor R b.
Proof. by move=> b0 bb'; rewrite ltf_pinv ?posrE ?ltr0n ?ltr_nat // (ltn_trans b0). Qed.

(** (n - b)/(b (n - 1)) = (n/b - 1)/(n - 1). *)
Lemma subset_factor_falls (R : realFieldType) n b b' :
  (0 < b)%N -> (b < b')%N -> (b' <= n)%N -> subset_factor R n b' < subset_factor R n b.
Proof.
move=> b0 bb' b'n; have b'0 := ltn_trans b0 bb'; have n1 : (1 < n)%N by rewrite (leq_trans _ b'n) // (leq_ltn_trans b0).
have E c : (0 < c)%N -> subset_factor R n c = (n%:R / c%:R - 1) / (n%:R - 1).
  move=> c0; have cN0 : c%:R != 0 :> R by rewrite pnatr_eq0 -lt0n.
  have n1N0 : n%:R - 1 != 0 :> R by rewrite subr_eq0 (eqr_nat R n 1) gtn_eqF.
  by rewrite /subset_factor; field; rewrite cN0 n1N0.
rewrite !E // ltr_pmul2r; last by rewrite invr_gt0 subr_gt0 (ltr_nat R 1).
by rewrite ltr_add2r ltr_pmul2l ?ltr0n ?(ltnW n1) // ltf_pinv ?posrE ?ltr0n ?ltr_nat.
Qed.

(** ** The same in the words of a textbook *)

(** The variance of a mean over b independent draws of n examples with probabilities p. *)
Corollary variance_of_independent_draws (R : realFieldType) (n b : nat) (p : law R n) (f : 'I_n -> R) :
  (0 < b)%N ->
  let m := \sum_i p i * f i in
  \sum_(t : b.-tuple 'I_n) (\prod_(i <- t) p i) * ((\sum_(i <- t) f i) / b%:R - m) ^+ 2
  = b%:R^-1 * \sum_i p i * (f i - m) ^+ 2.
Proof.
move=> b0 m; have := sampling_factor (iid p b0) f f.
rewrite -[average p f]/m /average -[factor _]/(b%:R^-1) => E.
apply: etrans (etrans E _); last by congr (_ * _); apply: eq_bigr => i _; rewrite expr2.
apply: eq_bigr => t _; rewrite expr2; suff -> : (\sum_(i <- t) f i) / b%:R = batch_mean (S := iid p b0) f t by [].
rewrite (sum_by_counts f t) mulr_suml; apply: eq_bigr => i _.
by rewrite /= /iid_weight mulrAC.
Qed.

(** The variance of a mean over all subsets of b of n examples. *)
Corollary variance_of_subsets (R : realFieldType) (n b : nat) (f : 'I_n -> R) :
  (0 < b)%N -> (b <= n)%N ->
  let m := (\sum_i f i) / n%:R in
  (\sum_(A : {set 'I_n} | #|A| == b) ((\sum_(i in A) f i) / b%:R - m) ^+ 2) / 'C(n, b)%:R
  = (n%:R - b%:R) / (b%:R * (n%:R - 1)) * ((\sum_i (f i - m) ^+ 2) / n%:R).
Proof.
move=> b0 bn m; have n0 := leq_trans b0 bn; have := sampling_factor (without_replacement R n0 b0 bn) f f.
have -> : average (uniform R n0) f = m by rewrite /m mulr_suml; apply: eq_bigr => i _; rewrite mulrC.
rewrite -[factor _]/(subset_factor R n b) => E.
apply: etrans (etrans E _); last first.
  by rewrite /average mulr_suml; congr (_ * _); apply: eq_bigr => i _; rewrite mulrC -expr2.
rewrite big_mkcond mulr_suml; apply: eq_bigr => A _; rewrite /= /subset_chance.
case: eqP => _; rewrite ?mul0r // mul1r mulrC -expr2; congr (_ * (_ - _) ^+ 2).
rewrite big_mkcond mulr_suml; apply: eq_bigr => i _; rewrite /= /subset_weight.
by case: (i \in A); rewrite ?mul0r // mul1r mulrC.
Qed.
