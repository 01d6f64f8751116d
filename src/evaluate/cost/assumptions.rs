//! What costs are computed from: every number that somebody may want to look at or change.

use serde::{Deserialize, Serialize};

/// How the own machine is paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Paid {
    /// By the hour: `per_hour` counts.
    #[default]
    Hourly,
    /// Bought: `purchase`, `years`, `power_watts`, `idle_watts` and `kwh_price` count.
    Bought,
}

/// An assumption, to be shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Field {
    /// Its name in a file.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// The default.
    pub default: f64,
    /// The unit; `currency` stands for the currency.
    pub unit: &'static str,
    /// What it is.
    pub doc: &'static str,
}

/// Declares the numbers, each once: name, default, unit and what it is cannot drift apart.
macro_rules! assumptions {
    ($($(#[doc = $doc:literal])+ $name:ident = $default:literal, $unit:literal;)+) => {
        /// What costs are computed from; a TOML table of any of these fields, the others at their defaults.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Assumptions {
            /// The currency of all amounts; only shown. Default `USD`.
            pub currency: String,
            /// How the own machine is paid. Default `hourly`.
            pub paid: Paid,
            $($(#[doc = $doc])+ #[doc = concat!("\n\nUnit: ", $unit, ". Default: ", $default, ".")] pub $name: f64,)+
        }

        impl Default for Assumptions {
            fn default() -> Self {
                Self { currency: "USD".to_owned(), paid: Paid::default(), $($name: $default,)+ }
            }
        }

        impl Assumptions {
            /// The numbers, in the order to show them.
            #[must_use]
            pub fn fields(&self) -> Vec<Field> {
                vec![$(Field {
                    name: stringify!($name),
                    value: self.$name,
                    default: $default,
                    unit: $unit,
                    doc: concat!($($doc),+).trim_ascii(),
                }),+]
            }
        }
    };
}

assumptions! {
    /// Requests to answer in a month.
    requests_per_month = 10_000.0, "requests a month";
    /// Tokens of a prompt of the own model.
    prompt_tokens = 500.0, "tokens a request";
    /// Tokens of an answer of the own model.
    generated_tokens = 100.0, "tokens a request";
    /// How fast the own machine reads prompts, over all requests that it works on at once. To be measured.
    prompt_tokens_per_second = 1000.0, "tokens a second";
    /// How fast the own machine writes answers, over all requests that it works on at once. To be measured.
    generated_tokens_per_second = 30.0, "tokens a second";
    /// Hours in a month for which a machine is on and paid; all of them where it is to answer at any time.
    hours_per_month = 730.0, "hours a month";
    /// The share of these hours in which requests can keep a machine busy: they come when they come, not one after the
    /// other.
    utilisation = 0.5, "share, above 0 to 1";
    /// Price of a machine paid by the hour.
    per_hour = 0.5, "currency an hour";
    /// Price of a machine that is bought.
    purchase = 2000.0, "currency";
    /// How long a bought machine is used.
    years = 4.0, "years";
    /// What a bought machine draws while it is busy.
    power_watts = 300.0, "watts";
    /// What a bought machine draws while it is on and waits.
    idle_watts = 60.0, "watts";
    /// Price of electricity.
    kwh_price = 0.3, "currency a kilowatt hour";
    /// What is paid once for the own model: records, tuning, setting up.
    fixed_cost = 0.0, "currency";
    /// Months over which that is spread.
    fixed_cost_months = 12.0, "months";
    /// Price of a million tokens of prompts at the endpoint.
    endpoint_input_per_million = 1.0, "currency a million tokens";
    /// Price of a million tokens of answers at the endpoint.
    endpoint_output_per_million = 4.0, "currency a million tokens";
    /// Tokens of a prompt at the endpoint, which often needs examples that a tuned model does not.
    endpoint_prompt_tokens = 500.0, "tokens a request";
    /// Tokens of an answer at the endpoint, in its own tokens.
    endpoint_generated_tokens = 100.0, "tokens a request";
}
