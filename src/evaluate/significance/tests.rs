//! Reference numbers: scipy 1.17.1 (`binom`, `bootstrap`), statsmodels 0.15.0 (`mcnemar`, `multipletests`), numpy
//! 2.4.6; the exact bootstrap distributions by going through all 6^6 resamples in numpy.

use super::super::Interval;
use super::*;

#[track_caller]
fn near(a: f64, b: f64, by: f64) {
    assert!((a - b).abs() <= by, "{a} is not within {by} of {b}");
}

const X: [f64; 6] = [0.1, 0.9, 0.4, 0.7, 0.2, 0.35];
const A: [f64; 6] = [0.1, 0.5, 0.4, 0.3, 0.2, 0.35];

#[test]
fn mcnemar_equals_statsmodels_and_scipy() {
    let cases = [
        (0, 0, 1.0, 1.0),
        (1, 0, 1.0, 0.5),
        (0, 5, 0.0625, 0.031_25),
        (3, 3, 1.0, 1.0),
        (4, 9, 0.266_845_703_125, 0.179_565_429_687_5),
        (10, 25, 0.016_673_847_800_120_715, 0.011_330_984_183_587_134),
        (40, 61, 0.046_044_066_929_342_785, 0.037_066_767_438_560_5),
        (700, 812, 0.004_293_681_537_359_062, 0.003_970_000_218_791_012),
        (5000, 5321, 0.001_632_306_256_595_341_6, 0.001_578_971_245_658_330_5),
    ];
    for (lost, gained, p, mid_p) in cases {
        for test in [McNemar::of(lost, gained), McNemar::of(gained, lost)] {
            near(test.p, p, 1e-9 * p);
            near(test.mid_p, mid_p, 1e-9 * mid_p);
        }
    }
    assert!(McNemar::of(0, 1_000_000).p < 1e-300, "it ends, and is no NaN");
}

#[test]
fn mcnemar_counts_the_rows_that_only_one_gets_right() {
    let first = [true, true, true, false, false, true];
    let second = [true, false, true, true, true, true];
    let test = McNemar::of_rows(&first, &second).unwrap();
    assert_eq!((test.lost, test.gained), (1, 2));
    assert!(!test.is_significant());
    assert!(McNemar::of(0, 6).is_significant());
    let error = McNemar::of_rows(&first, &second[..5]).unwrap_err().to_string();
    assert!(error.contains("6 rows") && error.contains('5'), "{error}");
}

#[test]
fn holm_equals_statsmodels_in_any_order() {
    let cases: [(&[f64], &[f64]); 4] = [
        (&[0.01, 0.04, 0.03, 0.005], &[0.03, 0.06, 0.06, 0.02]),
        (&[0.2, 0.9, 0.5], &[0.6, 1.0, 1.0]),
        (&[0.01, 0.01, 0.02], &[0.03, 0.03, 0.03]),
        (&[0.04], &[0.04]),
    ];
    for (p, adjusted) in cases {
        for (got, want) in holm(p).into_iter().zip(adjusted) {
            near(got, *want, 1e-12);
        }
    }
    assert!(holm(&[]).is_empty());
    assert_eq!(holm(&[f64::NAN, 0.02]), [1.0, 0.04], "a comparison without a p value still was one");
}

#[test]
fn the_interval_is_that_of_all_resamples() {
    let many = Resampling { resamples: 40_000, ..Resampling::default() };
    let mean = many.mean(&X).unwrap();
    near(mean.value, 0.441_666_666_666_666_65, 1e-12);
    let interval = mean.interval.unwrap();
    near(interval.low, 0.233_333_333_333_333_3, 0.01);
    near(interval.high, 0.666_666_666_666_666_6, 0.01);
    let interval = Resampling { level: 0.9, ..many }.mean(&X).unwrap().interval.unwrap();
    near(interval.low, 0.258_333_333_333_333_36, 0.01);
    near(interval.high, 0.633_333_333_333_333_3, 0.01);
    let deviation = |rows: &[usize]| {
        let mean = rows.iter().map(|row| X[*row]).sum::<f64>() / rows.len() as f64;
        (rows.iter().map(|row| (X[*row] - mean).powi(2)).sum::<f64>() / rows.len() as f64).sqrt()
    };
    let spread = many.statistic(X.len(), deviation).unwrap();
    near(spread.value, 0.277_513_763_422_445_2, 1e-12);
    near(spread.interval.unwrap().low, 0.098_601_328_717_5, 0.01);
    near(spread.interval.unwrap().high, 0.346_109_327_6, 0.01);
}

#[test]
fn the_paired_bootstrap_is_that_of_all_resamples() {
    let many = Resampling { resamples: 40_000, ..Resampling::default() };
    let found = many.compare_means(&A, &X).unwrap().unwrap();
    near(found.difference, 0.133_333_333_333_333_33, 1e-12);
    near(found.interval.unwrap().low, 0.0, 1e-9);
    near(found.interval.unwrap().high, 0.266_666_666_666_666_66, 1e-9);
    near(found.p.unwrap(), 0.187_928_669_410_150_88, 0.008);
    near(found.second_better.unwrap(), 0.956_104_252_400_548_7, 0.004);
    let back = many.compare_means(&X, &A).unwrap().unwrap();
    near(back.difference, -found.difference, 1e-12);
    near(back.p.unwrap(), found.p.unwrap(), 1e-12);
    near(back.second_better.unwrap(), 1.0 - found.second_better.unwrap(), 1e-12);
}

#[test]
fn intervals_agree_with_scipy_on_two_hundred_rows() {
    let y: Vec<f64> = (0..200).map(|i| f64::from((i * 37) % 101) / 101.0).collect();
    let z: Vec<f64> = (0..200).map(|i| f64::from((i * 53 + 7) % 89) / 89.0).collect();
    let many = Resampling { resamples: 20_000, ..Resampling::default() };
    let mean = many.mean(&y).unwrap();
    near(mean.value, 0.495_495_049_504_950_55, 1e-12);
    near(mean.interval.unwrap().low, 0.455_495, 0.002);
    near(mean.interval.unwrap().high, 0.535_446, 0.002);
    let median = |of: &[f64], rows: &[usize]| {
        let mut of: Vec<f64> = rows.iter().map(|row| of[*row]).collect();
        of.sort_by(f64::total_cmp);
        f64::midpoint(of[99], of[100])
    };
    let medians = many.compare(200, |rows| (median(&y, rows), median(&z, rows))).unwrap();
    near(medians.difference, -0.006_285_46, 1e-8);
    near(medians.interval.unwrap().low, -0.100_734, 0.006);
    near(medians.interval.unwrap().high, 0.095_784, 0.006);
    assert!(medians.p.unwrap() > 0.8);
}

#[test]
fn percentiles_are_numpys() {
    let mut values = vec![16.5, 1.0, 8.0, 2.0, 4.0];
    let Interval { low, high } = Resampling::default().interval(&mut values).unwrap();
    near(low, 1.1, 1e-12);
    near(high, 15.65, 1e-12);
}

#[test]
fn threads_do_not_change_a_figure_and_the_seed_does() {
    let scores: Vec<f64> = (0..997).map(|i| f64::from((i * i) % 17)).collect();
    let other: Vec<f64> = (0..997).map(|i| f64::from((i * i) % 19)).collect();
    let in_pool = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (Resampling::default().mean(&scores), Resampling::default().compare_means(&scores, &other)))
    };
    assert_eq!(in_pool(1), in_pool(7));
    let other_seed = Resampling { seed: 1, ..Resampling::default() };
    assert_ne!(Resampling::default().mean(&scores), other_seed.mean(&scores));
}

#[test]
fn of_no_row_there_is_nothing_and_of_one_row_no_interval() {
    let usual = Resampling::default();
    assert_eq!(usual.mean(&[]), None);
    assert_eq!(usual.compare_means(&[], &[]), Ok(None));
    let one = usual.mean(&[0.5]).unwrap();
    assert_eq!((one.value, one.interval, one.rows, one.resamples), (0.5, None, 1, 0));
    let one = usual.compare_means(&[0.0], &[1.0]).unwrap().unwrap();
    assert_eq!((one.difference, one.interval, one.p, one.second_better), (1.0, None, None, None));
    assert!(usual.compare_means(&[0.0], &[]).is_err());
}

#[test]
fn equal_systems_do_not_differ_and_opposite_ones_do() {
    let right: Vec<f64> = (0..100).map(|i| f64::from(i % 3 / 2)).collect();
    let same = Resampling::default().compare_means(&right, &right).unwrap().unwrap();
    assert_eq!((same.difference, same.p, same.second_better), (0.0, Some(1.0), Some(0.5)));
    let all = Resampling::default().compare_means(&[0.0; 100], &[1.0; 100]).unwrap().unwrap();
    assert_eq!(all.second_better, Some(1.0));
    // Every resample is the same: the p value is the least there is.
    near(all.p.unwrap(), 1.0 / 2001.0, 1e-12);
    let two = Resampling::default().compare_means(&[0.0; 2], &[1.0; 2]).unwrap().unwrap();
    assert_eq!(two.p, Some(0.5), "two rows are no proof");
    let half: Vec<f64> = (0..100).map(|i| f64::from(u8::from(i < 50))).collect();
    let better = Resampling::default().compare_means(&[0.0; 100], &half).unwrap().unwrap();
    assert!(better.p.unwrap() < 0.001 && better.interval.unwrap().low > 0.38, "{better:?}");
}

#[test]
fn resamples_without_a_value_are_left_out_and_counted() {
    // The share of ones among rows above the first: not a number where a resample has only the first row.
    let share = |rows: &[usize]| {
        let seen = rows.iter().filter(|row| **row > 0).count() as f64;
        rows.iter().filter(|row| **row == 2).count() as f64 / seen
    };
    let found = Resampling::default().statistic(3, share).unwrap();
    near(found.value, 0.5, 1e-12);
    // All three draws are the first row in 1 of 27.
    assert!((1_850..2_000).contains(&found.resamples), "{found:?}");
    let never = Resampling::default().statistic(3, |_| f64::NAN).unwrap();
    assert_eq!((never.interval, never.resamples), (None, 0));
    assert!(never.value.is_nan());
}

#[test]
fn an_interval_holds_the_truth_about_as_often_as_it_says() {
    // 200 samples of 60 rows, each a coin of 0.3 and thrown by the same generator; 95 % of intervals should hold 0.3.
    use rand::SeedableRng as _;
    let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(9);
    let settings = Resampling { resamples: 400, ..Resampling::default() };
    let holds = (0..200).filter(|_| {
        let rows: Vec<f64> = (0..60).map(|_| f64::from(u8::from(bootstrap::below(&mut generator, 10) < 3))).collect();
        settings.mean(&rows).unwrap().interval.unwrap().contains(0.3)
    });
    let holds = holds.count();
    assert!((178..=198).contains(&holds), "{holds} of 200");
}
