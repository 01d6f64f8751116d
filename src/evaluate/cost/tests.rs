//! Reference numbers: the arithmetic again in Python 3.11's `fractions`, the break-even by trying every number of
//! requests.

use super::*;

#[track_caller]
fn near(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-9 * b.abs(), "{a} is not {b}");
}

fn quick() -> Assumptions {
    Assumptions {
        requests_per_month: 1_000_000.0,
        prompt_tokens_per_second: 4_000.0,
        generated_tokens_per_second: 400.0,
        per_hour: 0.2,
        fixed_cost: 1_200.0,
        ..Assumptions::default()
    }
}

#[test]
fn a_machine_by_the_hour() {
    let costs = quick().costs().unwrap();
    near(costs.seconds_per_request, 0.375);
    near(costs.requests_per_machine.unwrap(), 3_504_000.0);
    near(costs.own_per_month, 246.0);
    near(costs.own_per_request.unwrap(), 0.000_246);
    near(costs.own_per_1000.unwrap(), 0.246);
    near(costs.own_per_request_busy, 4.166_666_666_666_666_5e-5);
    near(costs.endpoint_per_month, 900.0);
    near(costs.endpoint_per_request, 0.0009);
    near(costs.endpoint_per_1000, 0.9);
    assert_eq!(costs.cheaper, Some(Side::Own));
    assert_eq!(costs.break_even, BreakEven::From { requests: 273_334.0, machines: 1.0 });
    near(costs.payback_months.unwrap(), 1_200.0 / (900.0 - 146.0));
    assert!(costs.notes.is_empty(), "{:?}", costs.notes);
}

#[test]
fn a_machine_that_is_bought() {
    let given = Assumptions {
        paid: Paid::Bought,
        requests_per_month: 300_000.0,
        prompt_tokens_per_second: 2_000.0,
        generated_tokens_per_second: 100.0,
        fixed_cost: 600.0,
        ..Assumptions::default()
    };
    let costs = given.costs().unwrap();
    near(costs.requests_per_machine.unwrap(), 1_051_200.0);
    near(costs.own_per_month, 112.306_666_666_666_67);
    near(costs.own_per_request.unwrap(), 0.000_374_355_555_555_555_54);
    near(costs.own_per_request_busy, 7.713_723_997_970_573e-5);
    assert_eq!(costs.break_even, BreakEven::From { requests: 119_780.0, machines: 1.0 });
}

#[test]
fn the_defaults_never_break_even_and_say_why() {
    let costs = Assumptions::default().costs().unwrap();
    near(costs.seconds_per_request, 3.833_333_333_333_333_5);
    near(costs.requests_per_machine.unwrap(), 342_782.608_695_652_16);
    near(costs.own_per_request.unwrap(), 0.0365);
    assert_eq!((costs.cheaper, costs.break_even, costs.payback_months), (Some(Side::Endpoint), BreakEven::Never, None));
    assert!(costs.notes.iter().any(|note| note.contains("0.001065") && note.contains("0.000900")), "{:?}", costs.notes);
    let free = Assumptions { endpoint_input_per_million: 0.0, endpoint_output_per_million: 0.0, ..quick() };
    assert_eq!(free.costs().unwrap().break_even, BreakEven::Never);
}

#[test]
fn a_machine_that_is_there_anyway_always_pays() {
    let there = Assumptions { per_hour: 0.0, fixed_cost: 0.0, ..quick() };
    assert_eq!(there.costs().unwrap().break_even, BreakEven::Always);
    let cheap = Assumptions { per_hour: 1e-7, fixed_cost: 0.0, ..quick() };
    assert_eq!(cheap.costs().unwrap().break_even, BreakEven::Always);
    let endless =
        Assumptions { prompt_tokens: 0.0, generated_tokens: 0.0, generated_tokens_per_second: 0.0, ..quick() };
    let costs = endless.costs().unwrap();
    assert!(costs.requests_per_machine.is_none());
    near(costs.machines, 1.0);
    assert!(matches!(costs.break_even, BreakEven::From { .. }));
}

#[test]
fn without_traffic_there_is_no_cost_of_a_request() {
    let costs = Assumptions { requests_per_month: 0.0, ..quick() }.costs().unwrap();
    assert_eq!((costs.own_per_request, costs.own_per_1000), (None, None));
    near(costs.own_per_month, 246.0);
    near(costs.machines, 1.0);
    assert_eq!((costs.endpoint_per_month, costs.cheaper), (0.0, Some(Side::Endpoint)));
    assert!(costs.notes[0].contains("without requests"), "{:?}", costs.notes);
}

#[test]
fn more_requests_than_a_machine_can_serve_need_more_machines() {
    let dear = Assumptions { generated_tokens_per_second: 100.0, prompt_tokens_per_second: 1_000.0, ..quick() };
    let dear = Assumptions { per_hour: 1.0, fixed_cost: 1_800.0, ..dear };
    let costs = dear.costs().unwrap();
    near(costs.requests_per_machine.unwrap(), 876_000.0);
    near(costs.machines, 2.0);
    near(costs.own_per_month, 2.0 * 730.0 + 150.0);
    assert!(costs.notes.iter().any(|note| note.contains("876000") && note.contains("2 machines")), "{:?}", costs.notes);
    // One machine cannot earn the fixed cost, three can.
    assert_eq!(costs.break_even, BreakEven::From { requests: 2_600_000.0, machines: 3.0 });
    let again = Assumptions { requests_per_month: 2_700_000.0, ..dear }.costs().unwrap();
    assert_eq!(again.cheaper, Some(Side::Endpoint));
    assert!(again.notes.iter().any(|note| note.contains("too little to do")), "{:?}", again.notes);
}

/// Months computed at each number of requests around the break-even agree with it.
#[test]
fn the_break_even_is_the_first_number_that_pays() {
    for (speed, per_hour, fixed) in
        [(30.0, 0.3, 0.0), (30.0, 0.3, 90.0), (200.0, 1.0, 0.0), (55.0, 0.7, 40.0), (100.0, 0.2, 999.0)]
    {
        let given = Assumptions { generated_tokens_per_second: speed, per_hour, fixed_cost: fixed, ..quick() };
        let BreakEven::From { requests, .. } = given.costs().unwrap().break_even else { panic!("{speed} {per_hour}") };
        let pays = |requests: f64| {
            let costs = Assumptions { requests_per_month: requests, ..given.clone() }.costs().unwrap();
            costs.cheaper != Some(Side::Endpoint)
        };
        assert!(pays(requests), "{speed} {per_hour} {fixed}: {requests}");
        assert!((1..200).all(|less| !pays(requests - f64::from(less))), "{speed} {per_hour} {fixed}: {requests}");
        assert!((1..100).all(|part| !pays((requests - 1.0) * f64::from(part) / 100.0)), "{speed}: {requests}");
    }
}

#[test]
fn assumptions_are_read_shown_and_checked_by_name() {
    let read: Assumptions = toml::from_str("paid = \"bought\"\nyears = 3\ncurrency = \"JPY\"\n").unwrap();
    assert_eq!((read.paid, read.currency.as_str()), (Paid::Bought, "JPY"));
    near(read.years, 3.0);
    near(read.power_watts, 300.0);
    assert!(toml::from_str::<Assumptions>("per_our = 1.0").unwrap_err().to_string().contains("per_our"));
    let again: Assumptions = toml::from_str(&toml::to_string(&read).unwrap()).unwrap();
    assert_eq!(again, read);
    let fields = read.fields();
    let written: toml::Table = toml::from_str(&toml::to_string(&read).unwrap()).unwrap();
    assert_eq!(fields.len() + 2, written.len(), "all but the currency and how it is paid are shown");
    let years = fields.iter().find(|field| field.name == "years").unwrap();
    assert_eq!((years.value, years.default, years.unit), (3.0, 4.0, "years"));
    assert_eq!(years.doc, "How long a bought machine is used.");
    assert!(fields.iter().all(|field| !field.doc.is_empty() && written.contains_key(field.name)));
    for (wrong, field) in [
        (Assumptions { per_hour: -1.0, ..quick() }, "per_hour"),
        (Assumptions { kwh_price: f64::NAN, ..quick() }, "kwh_price"),
        (Assumptions { utilisation: 0.0, ..quick() }, "utilisation"),
        (Assumptions { utilisation: 1.5, ..quick() }, "utilisation"),
        (Assumptions { generated_tokens_per_second: 0.0, ..quick() }, "generated_tokens_per_second"),
        (Assumptions { fixed_cost_months: 0.0, ..quick() }, "fixed_cost_months"),
        (Assumptions { hours_per_month: 800.0, ..quick() }, "hours_per_month"),
        (Assumptions { years: 0.0, paid: Paid::Bought, ..quick() }, "years"),
        (Assumptions { idle_watts: 400.0, paid: Paid::Bought, ..quick() }, "power_watts"),
    ] {
        let error = wrong.costs().unwrap_err();
        assert_eq!(error.field, field);
        assert!(error.to_string().contains(field));
    }
    assert!(Assumptions { years: 0.0, ..quick() }.costs().is_ok(), "a machine by the hour has no years");
}
