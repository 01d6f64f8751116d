//! What a request costs on a machine of one's own, and at an endpoint that is paid by the token.
//!
//! A machine costs the same in a month whether it is busy or not, so its price of a request falls with the traffic; an
//! endpoint's does not. From how many requests a month the own one is cheaper is the break-even. All that goes in is in
//! [`Assumptions`], each with a name, a unit and a default; the arithmetic is:
//!
//! - seconds a request = prompt tokens / prompt speed + generated tokens / generating speed;
//! - requests a machine can serve in a month = hours x 3,600 x utilisation / seconds a request;
//! - a machine in a month, by the hour = price x hours; bought = purchase / (12 x years) + idle watts / 1,000 x hours x
//!   price of a kWh;
//! - a request on top, bought = (watts - idle watts) / 1,000 x seconds / 3,600 x price of a kWh;
//! - own month = machines x a machine + requests x a request + fixed cost / its months;
//! - endpoint's month = requests x (tokens of both kinds x their prices).

use serde::{Deserialize, Serialize};

mod assumptions;

pub use assumptions::{Assumptions, Field, Paid};

/// From how many requests a month the own machine costs no more than the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum BreakEven {
    /// From the first one.
    Always,
    /// From so many.
    From {
        /// Requests a month.
        requests: f64,
        /// Machines needed for them.
        machines: f64,
    },
    /// From no number of them: even a machine as busy as it can be costs more a request than the endpoint.
    Never,
}

/// The two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// A machine of one's own.
    Own,
    /// The endpoint.
    Endpoint,
}

/// Costs, in the currency of the assumptions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Machine seconds that a request takes.
    pub seconds_per_request: f64,
    /// Requests that one machine can serve in a month; none where a request takes no time, and they have no end.
    pub requests_per_machine: Option<f64>,
    /// Machines needed for the month's requests, at least 1.
    pub machines: f64,
    /// Own cost of a month, the month's part of the fixed cost included.
    pub own_per_month: f64,
    /// Own cost of a request at this traffic; none without traffic.
    pub own_per_request: Option<f64>,
    /// Own cost of 1,000 requests at this traffic; none without traffic.
    pub own_per_1000: Option<f64>,
    /// What a request would cost on a machine as busy as the utilisation allows, without the fixed cost: the least it
    /// can be.
    pub own_per_request_busy: f64,
    /// The endpoint's cost of a month.
    pub endpoint_per_month: f64,
    /// The endpoint's cost of a request.
    pub endpoint_per_request: f64,
    /// The endpoint's cost of 1,000 requests.
    pub endpoint_per_1000: f64,
    /// Which of them costs less at this traffic; none where both cost the same.
    pub cheaper: Option<Side>,
    /// From how many requests a month the own machine pays.
    pub break_even: BreakEven,
    /// Months after which the fixed cost is saved; none where there is none, or nothing is saved.
    pub payback_months: Option<f64>,
    /// What is worth knowing, in plain words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// An assumption that cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{field}` is {value}: it must be {must}")]
pub struct Refusal {
    /// The field.
    pub field: &'static str,
    /// What it holds.
    pub value: f64,
    /// What it may hold.
    pub must: &'static str,
}

/// What the month of the own machine is made of.
struct Own {
    /// Requests a machine can serve.
    capacity: f64,
    /// A machine that waits, a month.
    machine: f64,
    /// On top for a request.
    request: f64,
    /// The month's part of the fixed cost.
    fixed: f64,
}

impl Assumptions {
    /// The costs.
    ///
    /// # Errors
    /// An assumption is below 0 or no finite number, or is 0 where something is divided by it.
    pub fn costs(&self) -> Result<Costs, Refusal> {
        self.check()?;
        let seconds = self.seconds_per_request();
        let own = self.own(seconds);
        let requests = self.requests_per_month;
        let machines = own.machines(requests);
        let own_month = own.month(requests);
        let endpoint_per_request = (self.endpoint_prompt_tokens * self.endpoint_input_per_million
            + self.endpoint_generated_tokens * self.endpoint_output_per_million)
            / 1e6;
        let endpoint_month = requests * endpoint_per_request;
        let own_per_request = (requests > 0.0).then(|| own_month / requests);
        let cheaper = match own_month.total_cmp(&endpoint_month) {
            std::cmp::Ordering::Less => Some(Side::Own),
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(Side::Endpoint),
        };
        let saved = endpoint_month - (own_month - own.fixed);
        let mut costs = Costs {
            seconds_per_request: seconds,
            requests_per_machine: own.capacity.is_finite().then_some(own.capacity),
            machines,
            own_per_month: own_month,
            own_per_request,
            own_per_1000: own_per_request.map(|cost| cost * 1000.0),
            own_per_request_busy: own.machine / own.capacity + own.request,
            endpoint_per_month: endpoint_month,
            endpoint_per_request,
            endpoint_per_1000: endpoint_per_request * 1000.0,
            cheaper,
            break_even: own.break_even(endpoint_per_request),
            payback_months: (self.fixed_cost > 0.0 && saved > 0.0).then(|| self.fixed_cost / saved),
            notes: Vec::new(),
        };
        costs.take_notes(requests);
        Ok(costs)
    }

    fn seconds_per_request(&self) -> f64 {
        // No tokens take no time, also where no speed was measured.
        let time = |tokens: f64, speed: f64| if tokens > 0.0 { tokens / speed } else { 0.0 };
        time(self.prompt_tokens, self.prompt_tokens_per_second)
            + time(self.generated_tokens, self.generated_tokens_per_second)
    }

    fn own(&self, seconds: f64) -> Own {
        let capacity =
            if seconds > 0.0 { self.hours_per_month * 3600.0 * self.utilisation / seconds } else { f64::INFINITY };
        let kilowatt_hours = |watts: f64, hours: f64| watts / 1000.0 * hours * self.kwh_price;
        let (machine, request) = match self.paid {
            Paid::Hourly => (self.per_hour * self.hours_per_month, 0.0),
            Paid::Bought => (
                self.purchase / (12.0 * self.years) + kilowatt_hours(self.idle_watts, self.hours_per_month),
                kilowatt_hours(self.power_watts - self.idle_watts, seconds / 3600.0),
            ),
        };
        Own { capacity, machine, request, fixed: self.fixed_cost / self.fixed_cost_months }
    }

    fn check(&self) -> Result<(), Refusal> {
        let refuse = |field, value, must| Err(Refusal { field, value, must });
        for Field { name, value, .. } in self.fields() {
            if !value.is_finite() || value < 0.0 {
                return refuse(name, value, "a number that is not below 0");
            }
        }
        if !(self.utilisation > 0.0 && self.utilisation <= 1.0) {
            return refuse("utilisation", self.utilisation, "above 0 and at most 1");
        }
        let divisors = [
            ("prompt_tokens_per_second", self.prompt_tokens_per_second, self.prompt_tokens > 0.0),
            ("generated_tokens_per_second", self.generated_tokens_per_second, self.generated_tokens > 0.0),
            ("hours_per_month", self.hours_per_month, true),
            ("fixed_cost_months", self.fixed_cost_months, true),
            ("years", self.years, self.paid == Paid::Bought),
        ];
        if let Some((field, value, _)) = divisors.into_iter().find(|(_, value, used)| *used && *value <= 0.0) {
            return refuse(field, value, "above 0");
        }
        if self.hours_per_month > 744.0 {
            return refuse("hours_per_month", self.hours_per_month, "at most the 744 hours of the longest month");
        }
        if self.paid == Paid::Bought && self.power_watts < self.idle_watts {
            return refuse("power_watts", self.power_watts, "no less than `idle_watts`");
        }
        Ok(())
    }
}

impl Own {
    /// Machines for so many requests; one waits even where there are none.
    fn machines(&self, requests: f64) -> f64 {
        (requests / self.capacity).ceil().max(1.0)
    }

    fn month(&self, requests: f64) -> f64 {
        self.machines(requests) * self.machine + requests * self.request + self.fixed
    }

    /// The least number of requests at which the month costs no more than at the endpoint.
    ///
    /// With `m` machines, `n` requests cost no more from `n = (m machine + fixed) / (endpoint - request)` on, and these
    /// machines can serve `m capacity`: the least `m` that can serve its own `n` is `fixed / (capacity (endpoint -
    /// request) - machine)`.
    fn break_even(&self, endpoint: f64) -> BreakEven {
        let each = endpoint - self.request;
        // What one machine as busy as it can be saves in a month.
        let saves = if self.capacity.is_finite() { self.capacity * each - self.machine } else { each };
        if each <= 0.0 || saves < 0.0 || (saves <= 0.0 && self.fixed > 0.0) {
            return BreakEven::Never;
        }
        let least =
            if self.capacity.is_finite() && self.fixed > 0.0 { (self.fixed / saves).ceil().max(1.0) } else { 1.0 };
        let exact = (least * self.machine + self.fixed) / each;
        // A whole number of requests; what is whole but for rounding stays.
        let requests = (exact * (1.0 - 1e-12)).ceil();
        // Rounding up may need one machine more, at which it may not pay yet.
        if requests > least * self.capacity * (1.0 + 1e-12) {
            let machines = least + 1.0;
            let requests = ((machines * self.machine + self.fixed) / each).ceil();
            return if requests <= machines * self.capacity {
                BreakEven::From { requests, machines }
            } else {
                BreakEven::Never
            };
        }
        if requests <= 1.0 { BreakEven::Always } else { BreakEven::From { requests, machines: least } }
    }
}

impl Costs {
    fn take_notes(&mut self, requests: f64) {
        if requests <= 0.0 {
            self.notes.push("without requests the machine still costs its month, and the endpoint nothing".to_owned());
        }
        if let Some(most) = self.requests_per_machine.filter(|_| self.machines > 1.0) {
            self.notes.push(format!(
                "{requests:.0} requests a month are more than the {:.0} one machine can serve: {:.0} machines are counted",
                most.floor(),
                self.machines
            ));
        }
        if let BreakEven::From { requests: from, .. } = self.break_even
            && requests >= from
            && self.cheaper == Some(Side::Endpoint)
        {
            self.notes.push(format!(
                "the own machine pays from {from:.0} requests a month on, but at {requests:.0} the last machine has too little to do"
            ));
        }
        if self.break_even == BreakEven::Never {
            self.notes.push(format!(
                "the own machine never pays: as busy as it can be, a request costs {:.6}, and at the endpoint {:.6}",
                self.own_per_request_busy, self.endpoint_per_request
            ));
        }
    }
}

#[cfg(test)]
mod tests;
