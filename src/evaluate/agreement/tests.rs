//! Reference numbers: scikit-learn 1.9.1 (`cohen_kappa_score`), statsmodels 0.15.0 (`fleiss_kappa`), krippendorff
//! 0.9.0.

use super::*;

#[track_caller]
fn near(a: Result<f64, Undefined>, b: f64) {
    let a = a.unwrap();
    assert!((a - b).abs() <= 1e-9, "{a} is not {b}");
}

const PAIRS: [(u32, u32); 16] = [
    (0, 0),
    (1, 1),
    (2, 2),
    (2, 1),
    (1, 1),
    (0, 0),
    (0, 2),
    (2, 2),
    (1, 0),
    (1, 1),
    (2, 2),
    (0, 0),
    (3, 3),
    (3, 2),
    (1, 1),
    (2, 3),
];

#[test]
fn cohens_kappa_equals_scikit_learn() {
    near(cohen(&PAIRS, Weighting::Nominal), 0.569_892_473_118_279_5);
    near(cohen(&PAIRS, Weighting::Linear), 0.654_676_258_992_805_7);
    near(cohen(&PAIRS, Weighting::Quadratic), 0.740_890_688_259_109_1);
    // A label in the middle of the scale that nobody gave.
    let gap = [(0, 0), (0, 0), (0, 2), (2, 2), (2, 2), (2, 0), (0, 0)];
    for weighting in [Weighting::Nominal, Weighting::Linear, Weighting::Quadratic] {
        near(cohen(&gap, weighting), 0.416_666_666_666_666_63);
    }
    near(cohen(&[(0, 1), (1, 0)], Weighting::Nominal), -1.0);
    near(cohen(&[(0, 1), (0, 1)], Weighting::Nominal), 0.0);
}

#[test]
fn fleiss_kappa_equals_statsmodels() {
    let items = [
        [0, 0, 0, 1],
        [1, 1, 1, 1],
        [2, 2, 0, 2],
        [0, 1, 2, 0],
        [1, 1, 0, 0],
        [2, 2, 2, 2],
        [0, 0, 0, 0],
        [1, 2, 1, 1],
    ];
    near(fleiss(&items), 0.433_628_318_584_070_8);
}

/// Rows are annotators, as the papers print them.
fn turned<const N: usize>(rows: &[[Option<f64>; N]]) -> Vec<Vec<Option<f64>>> {
    (0..N).map(|item| rows.iter().map(|row| row[item]).collect()).collect()
}

#[test]
fn krippendorffs_alpha_equals_the_package_and_his_example() {
    let n = None;
    let s = Some;
    let example = turned(&[
        [s(1.), s(2.), s(3.), s(3.), s(2.), s(1.), s(4.), s(1.), s(2.), n, n, n],
        [s(1.), s(2.), s(3.), s(3.), s(2.), s(2.), s(4.), s(1.), s(2.), s(5.), n, s(3.)],
        [n, s(3.), s(3.), s(3.), s(2.), s(3.), s(4.), s(2.), s(2.), s(5.), s(1.), n],
        [s(1.), s(2.), s(3.), s(3.), s(2.), s(4.), s(4.), s(1.), s(2.), s(5.), s(1.), n],
    ]);
    near(alpha(&example, Level::Nominal), 0.743_421_052_631_579);
    near(alpha(&example, Level::Ordinal), 0.815_387_503_754_881_5);
    near(alpha(&example, Level::Interval), 0.849_107_142_857_142_8);
    let uneven = turned(&[
        [s(1.), s(2.5), n, s(4.), s(-0.0), s(3.)],
        [s(1.), s(3.), s(2.), s(5.), s(0.5), s(3.)],
        [s(2.), s(2.5), s(2.), n, s(0.), n],
    ]);
    near(alpha(&uneven, Level::Nominal), 0.416_666_666_666_666_74);
    near(alpha(&uneven, Level::Ordinal), 0.946_448_087_431_694);
    near(alpha(&uneven, Level::Interval), 0.918_414_918_414_918_4);
}

#[test]
fn what_is_undefined_says_why_instead_of_a_number() {
    let none: [(u32, u32); 0] = [];
    assert_eq!(cohen(&none, Weighting::Nominal), Err(Undefined::NothingToCompare));
    for weighting in [Weighting::Nominal, Weighting::Linear, Weighting::Quadratic] {
        assert_eq!(cohen(&[(2, 2), (2, 2)], weighting), Err(Undefined::OneCategory));
    }
    assert_eq!(fleiss(&[[1, 1], [1, 1]]), Err(Undefined::OneCategory));
    assert_eq!(fleiss(&[[1], [2]]), Err(Undefined::NothingToCompare));
    assert_eq!(fleiss::<Vec<u32>>(&[]), Err(Undefined::NothingToCompare));
    let error = fleiss(&[vec![1, 1], vec![1, 1, 2]]).unwrap_err();
    assert_eq!(error, Undefined::UnequalLabels { item: 1, labels: 3, expected: 2 });
    assert!(error.to_string().contains("Krippendorff"), "{error}");
    for level in [Level::Nominal, Level::Ordinal, Level::Interval] {
        assert_eq!(alpha(&[[Some(1.0), Some(1.0)]], level), Err(Undefined::OneCategory));
        assert_eq!(alpha(&[[Some(1.0), None], [None, Some(2.0)]], level), Err(Undefined::NothingToCompare));
        assert_eq!(alpha(&[[Some(1.0), Some(f64::NAN)]], level), Err(Undefined::NotFinite { item: 0 }));
    }
}

#[test]
fn an_interval_comes_from_the_items() {
    let usual = Resampling::default();
    let kappa = |pairs: &[&(u32, u32)]| cohen(pairs, Weighting::Nominal);
    let found = with_interval(&PAIRS, kappa, &usual).unwrap();
    let interval = found.interval.unwrap();
    // The normal interval by the asymptotic error, 0.57 +- 1.96 * 0.16, is near it.
    assert!((0.15..0.35).contains(&interval.low) && (0.8..0.95).contains(&interval.high), "{found:?}");
    assert_eq!((found.rows, found.resamples), (16, 2_000));
    let many: Vec<(u32, u32)> = PAIRS.iter().copied().cycle().take(1_600).collect();
    let narrow = with_interval(&many, kappa, &usual).unwrap().interval.unwrap();
    assert!(narrow.high - narrow.low < (interval.high - interval.low) / 5.0, "{narrow:?}");
    let items: Vec<Vec<Option<f64>>> =
        PAIRS.iter().map(|(a, b)| vec![Some(f64::from(*a)), Some(f64::from(*b))]).collect();
    assert!(with_interval(&items, |items| alpha(items, Level::Ordinal), &usual).unwrap().interval.unwrap().low > 0.0);
    assert_eq!(with_interval(&[(1, 1), (1, 1)], kappa, &usual), Err(Undefined::OneCategory));
    // Half of the resamples of two items are of one category only.
    let two = with_interval(&[(0, 0), (1, 1)], kappa, &usual).unwrap();
    assert!((900..1_100).contains(&two.resamples), "{two:?}");
}
