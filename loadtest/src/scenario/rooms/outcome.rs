//! From what was seen to the report.

use super::{Options, member::Shared, order::Order, talk::Measured};
use crate::{
    report::{Report, float, ratio},
    scenario::Casualties,
};
use std::collections::BTreeMap;

/// What the numbers depend on.
pub(super) fn settings(options: &Options, nodes: &BTreeMap<String, u64>, report: &mut Report) {
    report.setting("rooms", &options.rooms);
    report.setting("members of a room", &options.members);
    report.setting("messages per s", &options.rate);
    report.setting("share over REST", &options.rest_share);
    report.setting("characters", &options.content);
    let nodes: Vec<String> = nodes.iter().map(|(node, count)| format!("{node} {count}")).collect();
    report.setting("connections of gateways", &nodes.join(", "));
}

/// What was seen.
pub(super) fn figures(
    shared: &Shared,
    connections: usize,
    casualties: &Casualties,
    measured: Measured,
    report: &mut Report,
) {
    let ledger = shared.ledger.borrow();
    let balance = ledger.balance();
    let of_all = |count: fn(&Order) -> u64| shared.orders.iter().map(|order| count(&order.borrow())).sum::<u64>();
    report.count("connections", connections as u64);
    report.count("sent", ledger.count());
    report.count("acknowledged", balance.stored);
    for (code, count) in &ledger.refused {
        report.fail(format!("{count} messages were refused: {code}"));
    }
    report.must_be_zero("refused", ledger.refused.values().sum());
    report.must_be_zero("unanswered", balance.unanswered);
    report.count("expected", balance.expected);
    report.count("delivered", ledger.delivered);
    report.must_be_zero("lost", balance.lost);
    report.must_be_zero("duplicates", ledger.doubled + of_all(Order::doubled));
    report.must_be_zero("out of order", of_all(Order::late));
    report.must_be_zero("holes", of_all(Order::holes));
    report.must_be_zero("in the wrong room", ledger.strayed);
    report.must_be_zero("errors", shared.errors.get());
    report.must_be_zero("connections that ended", casualties.count());
    report.measure("measured", measured.seconds, "s");
    report.measure("deliveries", ratio(float(measured.deliveries), measured.seconds), "per s");
    report.latency("send to delivery", &ledger.to_member);
    report.latency("send to answer", &ledger.to_answer);
    report.processes(measured.usages);
}
