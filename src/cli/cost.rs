//! `togi cost`: what a request costs here and at an endpoint, and what suggestions save.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::output;
use super::{BaseModel, Place};
use crate::actions::cost::{self, Asked, BreakEven, Page, Side};
use crate::text;

/// Show what a request costs on this machine and at an endpoint, and what suggestions save
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi cost
  togi cost --data test.jsonl                 # speed and tokens as togi eval measured them
  togi cost --set per_hour=0.8 --set requests_per_month=200000
  togi cost --set people.rate_per_hour=40 --set people.t_reply_s=90

Every assumption is a key of [cost] in togi.toml; those about people (rate_per_hour, t_reply_s, messages_per_month) stand
in [cost.people]. --set takes any of them under the name it is shown by. Savings are computed after Howell et al. (ACL 2023) from what people did with drafts.")]
pub struct Cost {
    /// A test set that was evaluated, from which speed and tokens are taken
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// The own system, by its name in the report [default: the last tuned one]
    #[arg(long, value_name = "NAME")]
    system: Option<String>,
    /// Set an assumption for this once
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print the page as one JSON object
    #[arg(long)]
    json: bool,
}

impl Cost {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let mut context = place.context(&BaseModel::default())?;
        let asked = Asked { data: self.data.clone(), system: self.system.clone(), set: self.set.clone() };
        let page = cost::page(&mut context, &asked)?;
        if self.json {
            output::json(&page)?;
        } else {
            output::print(&told(&page))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// An amount with as many digits as it needs to be told from 0.
pub(super) fn money(amount: f64, currency: &str) -> String {
    let size = amount.abs();
    let digits = if size >= 100.0 || size == 0.0 {
        0
    } else if size >= 0.1 {
        2
    } else if size >= 0.001 {
        4
    } else {
        6
    };
    format!("{amount:.digits$} {currency}")
}

fn told(page: &Page) -> String {
    let mut rows: Vec<Vec<String>> = vec![["assumed", "value", "unit", "from"].map(str::to_owned).into()];
    for one in &page.words {
        rows.push(vec![one.name.to_owned(), one.value.clone(), String::new(), one.from.to_owned()]);
    }
    for one in &page.assumptions {
        let unit = one.field.unit.replace("currency", &page.currency);
        rows.push(vec![one.field.name.to_owned(), number(one.field.value), unit, one.from.to_owned()]);
    }
    for one in &page.assumptions_of_people {
        let value = one.value.map_or_else(|| "-".to_owned(), number);
        let unit = one.unit.replace("currency", &page.of_people.currency);
        rows.push(vec![format!("people.{}", one.name), value, unit, one.from.to_owned()]);
    }
    let mut out = output::table(&rows);
    let c = &page.costs;
    let own = page.measured.as_ref().map_or_else(|| "this machine".to_owned(), |name| format!("this machine ({name})"));
    let other = page.endpoint.clone().unwrap_or_else(|| "endpoint".to_owned());
    let money = |amount: f64| money(amount, &page.currency);
    let optional = |amount: Option<f64>| amount.map_or_else(|| "-".to_owned(), money);
    let rows = vec![
        vec![String::new(), own, other],
        vec!["a request".into(), optional(c.own_per_request), money(c.endpoint_per_request)],
        vec!["1,000 requests".into(), optional(c.own_per_1000), money(c.endpoint_per_1000)],
        vec!["a month".into(), money(c.own_per_month), money(c.endpoint_per_month)],
        vec!["a request, machine as busy as it can be".into(), money(c.own_per_request_busy), String::new()],
    ];
    let _ = write!(out, "\n{}", output::table(&rows));
    let _ = writeln!(out, "{:.2} seconds of the machine a request; {:.0} machines", c.seconds_per_request, c.machines);
    let even = match c.break_even {
        BreakEven::Always => "this machine costs no more from the first request on".to_owned(),
        BreakEven::From { requests, machines } => {
            let requests = text::count(requests.ceil() as u64);
            format!("this machine costs no more from {requests} requests a month on ({machines:.0} machines)")
        }
        BreakEven::Never => {
            "this machine never costs less than the endpoint, however many requests there are".to_owned()
        }
    };
    let now = match c.cheaper {
        Some(Side::Own) => "; at this traffic this machine is cheaper",
        Some(Side::Endpoint) => "; at this traffic the endpoint is cheaper",
        None => "",
    };
    let _ = writeln!(out, "{even}{now}");
    for note in &c.notes {
        let _ = writeln!(out, "{note}");
    }
    let Some(people) = &page.people else {
        let _ = writeln!(out, "\nwhat suggestions save: nobody has decided on a draft yet (togi draft writes them)");
        return out;
    };
    let (judged, a) = (&people.judged, &people.judged.assumptions);
    let counts = &a.counts;
    let _ = writeln!(
        out,
        "\n{} drafts: {} used, {} edited, {} ignored; {} an hour, {:.0} s unaided",
        counts.total(),
        counts.used,
        counts.edited,
        counts.ignored,
        money(a.rate_per_hour),
        a.t_reply_s
    );
    for (what, time) in [("used", judged.t_use_s), ("edited", judged.t_edit_s), ("ignored", judged.t_ignore_s)] {
        if let Some(time) = time {
            let range = time.interval.map_or_else(String::new, |i| format!(" (95 %: {:.1} to {:.1})", i.low, i.high));
            let _ = writeln!(out, "  {what}: {:.1} s{range}", time.value);
        }
    }
    if let Some(savings) = &people.savings {
        let range = judged.encs.and_then(|e| e.interval);
        let range = range.map_or_else(String::new, |i| format!(" (95 %: {} to {})", money(i.low), money(i.high)));
        let _ = writeln!(out, "expected net saving a message: {}{range}", money(savings.encs_per_message));
        if let Some(month) = savings.monthly_net {
            let _ = writeln!(out, "a month: {}", money(month));
        }
        for note in &savings.notes {
            let _ = writeln!(out, "{note}");
        }
    }
    for note in &judged.notes {
        let _ = writeln!(out, "{note}");
    }
    out
}

/// A number without digits that say nothing.
fn number(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
