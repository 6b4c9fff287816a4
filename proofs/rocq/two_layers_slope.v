(** * Two layers, one step: two variances that increase with u (row "two-layers-one-step" of the ledger)

    With S, S' as in moments.v and f(S) = 1 - tau S + (rho tau/2) S^2,

        V0(u) = Var( S' (1 - rho S) f(S) ),    V1(u) = Var( S' S f(S) )

    have positive derivatives for every u > 0, rho and tau.  Each derivative is a_0 + a_1 tau + a_2 tau^2 with a_0 > 0
    and 4 a_0 a_2 - a_1^2 = 16 Q > 0: Q1 is a quadratic in rho without real roots, Q0 a sum of squares. *)

From Coq Require Import Reals List Lra Field.
From linvar Require Import moments.
Import ListNotations.
Open Scope R_scope.

Definition f rho tau := [1; - tau; rho * tau / 2].
Definition g0 rho tau := product [1; - rho] (f rho tau).
Definition g1 rho tau := product [0; 1] (f rho tau).
Definition V0 rho tau u := var (g0 rho tau) u.
Definition V1 rho tau u := var (g1 rho tau) u.

(** ** The derivatives, ordered by powers of tau *)

Section Coefficients.
Variables rho u : R.

Definition a00 := 8 * rho ^ 2 * u + 4 * rho ^ 2 - 4 * rho + 2.
Definition a01 :=
  384 * rho ^ 3 * u ^ 3 + 24 * rho ^ 2 * (17 * rho - 8) * u ^ 2 + 8 * rho * (15 * rho ^ 2 - 18 * rho + 5) * u
  + 2 * (4 * rho ^ 3 - 10 * rho ^ 2 + 7 * rho - 2).
Definition a02 :=
  11520 * rho ^ 4 * u ^ 5 + 80 * rho ^ 3 * (197 * rho - 72) * u ^ 4
  + 48 * rho ^ 2 * (165 * rho ^ 2 - 148 * rho + 26) * u ^ 3
  + 6 * rho * (298 * rho ^ 3 - 498 * rho ^ 2 + 221 * rho - 24) * u ^ 2
  + 2 * (87 * rho ^ 4 - 240 * rho ^ 3 + 204 * rho ^ 2 - 60 * rho + 4) * u
  + (10 * rho ^ 4 - 42 * rho ^ 3 + 61 * rho ^ 2 - 36 * rho + 8) / 2.

Definition a10 := 8 * u + 4.
Definition a11 := 384 * rho * u ^ 3 + 24 * (17 * rho - 4) * u ^ 2 + 40 * (3 * rho - 2) * u + 4 * (2 * rho - 3).
Definition a12 :=
  11520 * rho ^ 2 * u ^ 5 + 80 * rho * (197 * rho - 48) * u ^ 4 + 16 * (495 * rho ^ 2 - 296 * rho + 24) * u ^ 3
  + 12 * (149 * rho ^ 2 - 166 * rho + 34) * u ^ 2 + 2 * (87 * rho ^ 2 - 160 * rho + 64) * u
  + (5 * rho ^ 2 - 14 * rho + 10).

Definition Q0 := (4 * a00 * a02 - a01 ^ 2) / 16.
Definition Q1 := (4 * a10 * a12 - a11 ^ 2) / 16.
End Coefficients.

Definition dV0 rho tau u := a00 rho u + a01 rho u * tau + a02 rho u * tau ^ 2.
Definition dV1 rho tau u := a10 u + a11 rho u * tau + a12 rho u * tau ^ 2.

Theorem dV0_is_the_derivative rho tau u : derivable_pt_lim (V0 rho tau) u (dV0 rho tau u).
Proof.
  replace (dV0 rho tau u) with (var_slope (g0 rho tau) u); [apply var_has_slope|].
  unfold dV0, a00, a01, a02, var_slope, E, E_slope, g0, f. simpl. field.
Qed.

Theorem dV1_is_the_derivative rho tau u : derivable_pt_lim (V1 rho tau) u (dV1 rho tau u).
Proof.
  replace (dV1 rho tau u) with (var_slope (g1 rho tau) u); [apply var_has_slope|].
  unfold dV1, a10, a11, a12, var_slope, E, E_slope, g1, f. simpl. field.
Qed.

(** ** Positive quadratics *)

Lemma square_ge0 (x : R) : 0 <= x ^ 2.
Proof. rewrite <- Rsqr_pow2. apply Rle_0_sqr. Qed.

(** a0 + a1 x + a2 x^2 > 0 where a0 > 0 and 4 a0 a2 > a1^2: 4 a0 times it is (2 a0 + a1 x)^2 + (4 a0 a2 - a1^2) x^2. *)
Lemma positive_quadratic a0 a1 a2 x : 0 < a0 -> 0 < 4 * a0 * a2 - a1 ^ 2 -> 0 < a0 + a1 * x + a2 * x ^ 2.
Proof.
  intros H0 HQ. apply Rmult_lt_reg_l with (4 * a0); [lra|]. rewrite Rmult_0_r.
  replace (4 * a0 * (a0 + a1 * x + a2 * x ^ 2)) with ((2 * a0 + a1 * x) ^ 2 + (4 * a0 * a2 - a1 ^ 2) * x ^ 2) by ring.
  destruct (Req_dec x 0) as [->|Hx].
  - replace ((2 * a0 + a1 * 0) ^ 2 + (4 * a0 * a2 - a1 ^ 2) * 0 ^ 2) with (4 * (a0 * a0)) by ring.
    assert (0 < a0 * a0) by (apply Rmult_lt_0_compat; lra). lra.
  - apply Rplus_le_lt_0_compat; [apply square_ge0|].
    apply Rmult_lt_0_compat; [exact HQ|]. rewrite <- Rsqr_pow2. exact (Rsqr_pos_lt x Hx).
Qed.

Ltac powers := (* lra, once the powers of u are known to be non-negative *)
  match goal with H : 0 < ?u |- _ =>
    pose proof (pow_lt u 2 H); pose proof (pow_lt u 3 H); pose proof (pow_lt u 4 H); pose proof (pow_lt u 5 H);
    pose proof (pow_lt u 6 H); pose proof (pow_lt u 7 H); pose proof (pow_lt u 8 H); pose proof (pow_lt u 9 H);
    pose proof (pow_lt u 10 H); lra
  end.

(** ** Q1: a quadratic in rho whose discriminant is negative *)

Lemma Q1_positive rho u : 0 < u -> 0 < Q1 rho u.
Proof.
  intros Hu.
  pose (A := 13824 * u ^ 6 + 23456 * u ^ 5 + 15436 * u ^ 4 + 4992 * u ^ 3 + 828 * u ^ 2 + 64 * u + 1).
  pose (B := - (3072 * u ^ 5 + 4576 * u ^ 4 + 2624 * u ^ 3 + 724 * u ^ 2 + 88 * u + 2)).
  pose (C := 192 * u ^ 4 + 240 * u ^ 3 + 120 * u ^ 2 + 28 * u + 1).
  replace (Q1 rho u) with (C + B * rho + A * rho ^ 2) by (unfold Q1, a10, a11, a12, A, B, C; field).
  apply positive_quadratic; [unfold C; powers|].
  replace (4 * C * A - B ^ 2) with
    (1179648 * u ^ 10 + 3170304 * u ^ 9 + 3946496 * u ^ 8 + 2996480 * u ^ 7 + 1467776 * u ^ 6 + 445632 * u ^ 5
     + 76192 * u ^ 4 + 6464 * u ^ 3 + 320 * u ^ 2 + 16 * u) by (unfold A, B, C; ring).
  powers.
Qed.

(** ** Q0: a sum of squares

    Q0 = squares(z_0) + 10 u squares(z_1), where z_0 and z_1 are lists of polynomials in rho and u, and each square is a
    number d > 0 times the square of a combination of the entries from one on. *)

Fixpoint dot (l z : list R) := match l, z with a :: l', x :: z' => a * x + dot l' z' | _, _ => 0 end.

Fixpoint squares (rows : list (R * list R)) (z : list R) :=
  match rows, z with
  | (d, l) :: rows', _ :: z' => d * dot l z ^ 2 + squares rows' z'
  | _, _ => 0
  end.

Definition squares_0 : list (R * list R) :=
  [(1, [1; 69/80; -71/50; 27/50; -43/200; 31/200; 37/2000]);
   (4327/6400, [1; -26088/21635; 5016/21635; -13106/21635; 2762/21635; 2743/108175]);
   (27380219/21635000, [1; -26701638/27380219; -1279932/27380219; -28052907/54760438; 3325553/136901095]);
   (12110076/136901095, [1; -2242979/121100760; -17333003/20183460; 8075323/91396800]);
   (168785971/6055038000, [1; -218603118/168785971; -15955436357/33757194200]);
   (17666493433/135028776800, [1; 2035073792/2208311679125]);
   (19017007624524411/3533298686600000000, [1])].

Definition squares_1 : list (R * list R) :=
  [(9/5, [1; 1447/720; 397/360; 7/45; -47/180; 113/180; -209/3600; 7/360]);
   (597551/288000, [1; 694282/597551; 79856/597551; -544444/597551; 437476/597551; -71977/2987755; 70462/597551]);
   (1972173/5975510, [1; 8636374/9860865; -19928037/13147820; 933037/1878260; -36859531/197217300; 1678631/13147820]);
   (258798061/1972173000, [1; -426245406/258798061; 212267412/258798061; -661073146/1293990305; 88657638/258798061]);
   (135749840169/207038448800, [1; -125291948779/135749840169; 675247897/135749840169; -59013607187/135749840169]);
   (2411277176651/6787492008450, [1; 8103194857/3444681680930; -1275327650999/9645108706604]);
   (1115283053861/246048691495000, [1; 1019574567275/15613962754054]);
   (170338962494373/3122792550810800, [1])].

Section Squares.
Variables rho u : R.
Definition z_0 :=
  [(rho - 1) ^ 3; 10 * (u * rho); 10 * (u * rho ^ 2); 10 * (u * rho ^ 3); 100 * (u ^ 2 * rho ^ 2);
   100 * (u ^ 2 * rho ^ 3); 1000 * (u * rho) ^ 3].
Definition z_1 :=
  [rho - 1; (rho - 1) ^ 2; (rho - 1) ^ 3; 10 * (u * rho); 10 * (u * rho ^ 2); 10 * (u * rho ^ 3);
   100 * (u ^ 2 * rho ^ 2); 100 * (u ^ 2 * rho ^ 3)].
End Squares.

Lemma Q0_is_a_sum_of_squares rho u :
  Q0 rho u = squares squares_0 (z_0 rho u) + 10 * u * squares squares_1 (z_1 rho u).
Proof. unfold Q0, a00, a01, a02, squares_0, squares_1, z_0, z_1, squares, dot. field. Qed.

Lemma squares_ge0 rows z : Forall (fun row => 0 <= fst row) rows -> 0 <= squares rows z.
Proof.
  revert z; induction rows as [|[d l] rows IH]; intros [|x z] Hrows; simpl; try lra.
  inversion Hrows as [|? ? Hd Hrest]; subst. simpl in Hd.
  apply Rplus_le_le_0_compat; [apply Rmult_le_pos; [exact Hd | apply square_ge0] | apply IH, Hrest].
Qed.

Lemma Q0_positive rho u : 0 < u -> 0 < Q0 rho u.
Proof.
  intros Hu. destruct (Req_dec rho 0) as [->|Hrho].
  - replace (Q0 0 u) with (1 + 4 * u) by (unfold Q0, a00, a01, a02; field). lra.
  - rewrite Q0_is_a_sum_of_squares. apply Rplus_lt_le_0_compat.
    + (* the last square is that of 1000 (u rho)^3, which is not 0 *)
      assert (H : u * rho <> 0) by (apply Rmult_integral_contrapositive; split; lra).
      assert (first : 0 <= squares (firstn 6 squares_0) (z_0 rho u))
        by (apply squares_ge0; repeat constructor; simpl; lra).
      replace (squares squares_0 (z_0 rho u)) with
        (squares (firstn 6 squares_0) (z_0 rho u)
         + 19017007624524411 / 3533298686600000000 * (1000 * (u * rho) ^ 3) ^ 2)
        by (unfold squares_0, z_0, squares, firstn, dot; ring).
      apply Rplus_le_lt_0_compat; [exact first|]. apply Rmult_lt_0_compat; [lra|].
      rewrite <- Rsqr_pow2. apply Rsqr_pos_lt. apply Rmult_integral_contrapositive.
      split; [lra | apply pow_nonzero, H].
    + apply Rmult_le_pos; [lra|]. apply squares_ge0. repeat constructor; simpl; lra.
Qed.

(** ** The derivatives are positive *)

Lemma a00_positive rho u : 0 < u -> 0 < a00 rho u.
Proof.
  intros Hu. replace (a00 rho u) with (8 * (rho ^ 2 * u) + ((2 * rho - 1) ^ 2 + 1)) by (unfold a00; ring).
  assert (0 <= rho ^ 2 * u) by (apply Rmult_le_pos; [apply square_ge0 | lra]).
  pose proof (square_ge0 (2 * rho - 1)). lra.
Qed.

Theorem dV0_positive rho tau u : 0 < u -> 0 < dV0 rho tau u.
Proof.
  intros Hu. apply positive_quadratic; [apply a00_positive, Hu|].
  pose proof (Q0_positive rho u Hu) as HQ. unfold Q0 in HQ. lra.
Qed.

Theorem dV1_positive rho tau u : 0 < u -> 0 < dV1 rho tau u.
Proof.
  intros Hu. apply positive_quadratic; [unfold a10; lra|].
  pose proof (Q1_positive rho u Hu) as HQ. unfold Q1 in HQ. lra.
Qed.

(** V0 + delta V1 increases with u, so it falls at u = 1, 1/2, 1/3, ... *)
Theorem increases rho tau delta u v : 0 <= delta -> 0 < u -> u < v ->
  V0 rho tau u + delta * V1 rho tau u < V0 rho tau v + delta * V1 rho tau v.
Proof.
  intros Hd Hu Huv.
  assert (H0 : V0 rho tau u < V0 rho tau v).
  { apply (positive_slope_increases _ (dV0 rho tau)); auto using dV0_is_the_derivative, dV0_positive. }
  assert (H1 : V1 rho tau u < V1 rho tau v).
  { apply (positive_slope_increases _ (dV1 rho tau)); auto using dV1_is_the_derivative, dV1_positive. }
  pose proof (Rmult_le_compat_l delta _ _ Hd (Rlt_le _ _ H1)). lra.
Qed.
