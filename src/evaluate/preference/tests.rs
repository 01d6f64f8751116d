//! Reference numbers: choix 0.4.1 (`opt_pairwise`, whose `alpha` is half of our prior; `mm_pairwise`), and scipy 1.17.1
//! (`minimize`) where there are ties.

use super::*;

#[track_caller]
fn near(a: f64, b: f64, by: f64) {
    assert!((a - b).abs() <= by, "{a} is not within {by} of {b}");
}

fn picks(of: &[(usize, usize, Pick, usize)]) -> Vec<Judgement> {
    let repeat = |(first, second, pick, times): &(usize, usize, Pick, usize)| {
        std::iter::repeat_n(Judgement { first: *first, second: *second, pick: *pick }, *times)
    };
    of.iter().flat_map(repeat).collect()
}

fn log_odds(systems: usize, judgements: &[Judgement], prior: f64) -> Vec<f64> {
    let settings = Settings { prior, resampling: Resampling { resamples: 0, ..Resampling::default() } };
    let ranking = Ranking::of(systems, judgements, &settings).unwrap();
    ranking.scores.into_iter().map(|score| score.log_odds).collect()
}

fn four() -> Vec<Judgement> {
    use Pick::{First, Second};
    picks(&[
        (0, 1, First, 7),
        (0, 1, Second, 3),
        (0, 2, First, 8),
        (2, 0, First, 2),
        (1, 2, First, 5),
        (1, 2, Second, 5),
        (3, 1, Second, 6),
        (1, 3, Second, 2),
    ])
}

#[test]
fn scores_equal_choix() {
    let cases = [
        // The maximum likelihood, by two methods of choix.
        (1e-9, [1.081_398_07, 0.054_295_48, -0.091_376_74, -1.044_316_81]),
        (0.2, [1.008_987_86, 0.045_245_27, -0.121_612_82, -0.932_620_30]),
        (2.0, [0.676_547_12, 0.018_743_87, -0.199_121_39, -0.496_169_60]),
    ];
    for (prior, want) in cases {
        let got = log_odds(4, &four(), prior);
        near(got.iter().sum(), 0.0, 1e-12);
        for (got, want) in got.into_iter().zip(want) {
            near(got, want, 2e-7);
        }
    }
}

#[test]
fn ties_are_davidsons() {
    use Pick::{First, Second, Tie};
    // The likelihood of Davidson (1970) with the prior on scores and ln nu, minimised by scipy (BFGS, then Nelder-Mead).
    let three = picks(&[
        (0, 1, First, 4),
        (0, 1, Second, 2),
        (1, 0, Tie, 3),
        (1, 2, First, 3),
        (1, 2, Second, 1),
        (1, 2, Tie, 1),
        (0, 2, First, 2),
        (2, 0, First, 1),
    ]);
    let many = picks(&[
        (0, 1, First, 10),
        (0, 1, Second, 6),
        (0, 1, Tie, 9),
        (1, 2, First, 12),
        (2, 1, First, 3),
        (2, 1, Tie, 5),
        (2, 3, First, 8),
        (2, 3, Second, 8),
        (2, 3, Tie, 8),
        (0, 3, First, 15),
        (0, 3, Second, 2),
        (0, 3, Tie, 1),
        (0, 2, First, 5),
        (0, 2, Second, 5),
    ]);
    let cases: [(&[Judgement], f64, &[f64], f64); 4] = [
        (&three, 0.1, &[0.586_862_837, 0.125_316_232, -0.712_179_069], 0.670_578_49),
        (&three, 1.0, &[0.425_633_677, 0.070_729_795, -0.496_363_472], 0.711_993_601),
        (&many, 0.1, &[0.816_417_947, 0.544_342_965, -0.509_233_471, -0.851_527_44], 0.694_743_921),
        (&many, 1e-9, &[0.827_272_121, 0.554_942_797, -0.516_501_609, -0.865_713_309], 0.695_373_473),
    ];
    for (judged, prior, want, nu) in cases {
        let settings = Settings { prior, resampling: Resampling { resamples: 200, ..Resampling::default() } };
        let ranking = Ranking::of(want.len(), judged, &settings).unwrap();
        for (score, want) in ranking.scores.iter().zip(want) {
            near(score.log_odds, *want, 2e-7);
        }
        let ties = ranking.ties.unwrap();
        near(ties.nu, nu, 2e-7);
        near(ties.between_equals, nu / (2.0 + nu), 1e-7);
        assert!(ties.interval.unwrap().contains(nu), "{ties:?}");
        // At the top, the ties to be expected are about those there were (exactly so without a prior).
        let chances =
            |a: usize, b: usize| Chances::of(ranking.scores[a].log_odds - ranking.scores[b].log_odds, ties.nu);
        let expected: f64 = judged.iter().map(|one| chances(one.first, one.second).tie).sum();
        let seen = judged.iter().filter(|one| one.pick == Tie).count() as f64;
        near(expected, seen, if prior < 1e-6 { 1e-6 } else { 0.5 });
        near(ranking.wins[0][1] + ranking.wins[1][0], 1.0, 1e-12);
    }
    // Without ties it is Bradley's and Terry's, and nothing is said of ties.
    assert!(Ranking::of(4, &four(), &Settings::default()).unwrap().ties.is_none());
}

#[test]
fn nothing_but_ties_is_equal_systems() {
    use Pick::Tie;
    let even = Ranking::of(2, &picks(&[(0, 1, Tie, 9)]), &Settings::default()).unwrap();
    near(even.scores[0].log_odds, 0.0, 1e-12);
    assert!(even.warnings.is_empty());
    assert_eq!((even.scores[0].won, even.scores[0].lost, even.scores[0].tied), (0, 0, 9));
}

#[test]
fn points_chances_and_intervals_follow_the_scores() {
    let ranking = Ranking::of(4, &four(), &Settings::default()).unwrap();
    let points: Vec<f64> = ranking.scores.iter().map(|score| score.points).collect();
    near(points.iter().sum::<f64>() / 4.0, MEAN_POINTS, 1e-9);
    // Elo's own formula for the chance to win.
    let expected = 1.0 / (1.0 + 10_f64.powf((points[1] - points[0]) / 400.0));
    near(ranking.wins[0][1], expected, 1e-12);
    near(ranking.wins[0][1] + ranking.wins[1][0], 1.0, 1e-12);
    near(ranking.wins[2][2], 0.5, 1e-12);
    assert!((0.6..0.8).contains(&ranking.wins[0][1]));
    for score in &ranking.scores {
        let (interval, points) = (score.interval.unwrap(), score.points_interval.unwrap());
        assert!(interval.contains(score.log_odds) && points.contains(score.points), "{score:?}");
        assert!(interval.high - interval.low > 0.3, "{score:?}");
    }
    assert_eq!(ranking.judgements, 38);
    assert!(ranking.warnings.is_empty(), "{:?}", ranking.warnings);
    let again = Ranking::of(4, &four(), &Settings::default()).unwrap();
    assert_eq!(ranking, again);
}

#[test]
fn a_system_that_never_won_has_a_finite_score_and_a_warning() {
    for (wins, ahead) in [(3, 1.479_470_1), (10, 1.956_997_4), (100, 2.917_118_7)] {
        let shutout = picks(&[(0, 1, Pick::First, wins)]);
        let ranking = Ranking::of(2, &shutout, &Settings::default()).unwrap();
        near(ranking.scores[0].log_odds, ahead, 1e-6);
        near(ranking.scores[1].log_odds, -ahead, 1e-6);
        assert_eq!(ranking.warnings, [Warning::NeverLost(0), Warning::NeverWon(1)]);
    }
    let three = Ranking::of(2, &picks(&[(0, 1, Pick::First, 3)]), &Settings::default()).unwrap();
    near(three.wins[0][1], 0.95, 0.005);
    let words = three.warnings[1].words(&["tuned", "base"]);
    assert!(words.contains("base was never picked"), "{words}");
}

#[test]
fn systems_that_were_never_compared_are_told() {
    use Pick::{First, Second};
    let apart = picks(&[(0, 1, First, 3), (0, 1, Second, 1), (2, 3, First, 5), (2, 3, Second, 5)]);
    let ranking = Ranking::of(5, &apart, &Settings::default()).unwrap();
    let want = [0.515_506_7, -0.515_506_7, 0.0, 0.0, 0.0];
    for (score, want) in ranking.scores.iter().zip(want) {
        near(score.log_odds, want, 1e-6);
    }
    let groups = Warning::Disconnected(vec![vec![0, 1], vec![2, 3]]);
    assert_eq!(ranking.warnings, [Warning::NeverJudged(4), groups]);
    let words = ranking.warnings[1].words(&["a", "b", "c", "d", "e"]);
    assert!(words.contains("a, b / c, d"), "{words}");
}

#[test]
fn a_group_that_never_lost_outside_is_told() {
    use Pick::{First, Second, Tie};
    // 0 and 1 beat each other, 2 and 3 beat each other, and the first two only ever beat the others.
    let mut judged = picks(&[
        (0, 1, First, 2),
        (0, 1, Second, 2),
        (2, 3, First, 1),
        (2, 3, Second, 1),
        (0, 2, First, 3),
        (3, 1, Second, 2),
    ]);
    let ranking = Ranking::of(4, &judged, &Settings::default()).unwrap();
    assert_eq!(ranking.warnings, [Warning::OneSided(vec![0, 1])]);
    judged.extend(picks(&[(3, 0, Tie, 1)]));
    assert!(Ranking::of(4, &judged, &Settings::default()).unwrap().warnings.is_empty());
}

#[test]
fn what_cannot_be_ranked_is_refused() {
    assert_eq!(Ranking::of(3, &[], &Settings::default()), Err(Refusal::NoJudgements));
    for (first, second) in [(0, 3), (1, 1)] {
        let judged = [Judgement { first, second, pick: Pick::Tie }];
        let error = Ranking::of(3, &judged, &Settings::default()).unwrap_err();
        assert_eq!(error, Refusal::NoSuchPair { at: 0, first, second, systems: 3 });
    }
    let one = Ranking::of(2, &[Judgement { first: 0, second: 1, pick: Pick::First }], &Settings::default()).unwrap();
    assert_eq!(one.scores[0].interval, None, "one judgement has no spread");
}
