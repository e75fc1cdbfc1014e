//! `volume profile` and `volume top`: what the bricks counted.

use std::fmt::Write as _;

use serde_json::Value;

use super::session::{Failure, Outcome, Session};
use super::status::by_brick;
use super::xml::{Node, leaf, node};
use crate::volume::handshake::BrickAsk;
use crate::volume::manager::op::Change;
use crate::volume::manager::protocol::About;

/// Pattern of `volume profile`.
pub const PROFILE: &str = "volume profile <VOLNAME> {start|info [peek|incremental [peek]|cumulative|clear]|stop} [nfs]";
/// Pattern of `volume top`.
pub const TOP: &str = "volume top <VOLNAME> {open|read|write|opendir|readdir|clear} [nfs|brick <brick>] [list-cnt <value>] | {read-perf|write-perf} [bs <size> count <count>] [brick <brick>] [list-cnt <value>]";

/// `volume profile`.
///
/// # Errors
/// [`Failure`].
pub fn profile(session: &Session, words: &[&str]) -> Outcome {
    match words {
        [name, "start"] => switch(session, name, true),
        [name, "stop"] => switch(session, name, false),
        [name, "info"] => show(session, name, &["cumulative", "interval"], false),
        [name, "info", "peek"] => show(session, name, &["cumulative", "interval"], true),
        [name, "info", "cumulative"] => show(session, name, &["cumulative"], true),
        [name, "info", "incremental"] => show(session, name, &["interval"], false),
        [name, "info", "incremental", "peek"] => show(session, name, &["interval"], true),
        [name, "info", "clear"] => clear(session, name),
        _ => Err(Failure::Usage(PROFILE)),
    }
}

fn switch(session: &Session, name: &str, on: bool) -> Outcome {
    let verb = if on { "Starting" } else { "Stopping" };
    match session.change(name, Change::Profile(on), false) {
        Ok(_) => {
            let op = if on { 1 } else { 2 };
            let done = vec![leaf("volname", name), leaf("profileOp", op)];
            session.say(&format!("{verb} volume profile on {name} has been successful "), || node("volProfile", done))
        }
        Err(reason) => Err(Failure::text(reason)),
    }
}

/// Figures are told of a volume alone that is being profiled.
fn must_run(session: &Session, name: &str) -> Result<(), Failure> {
    let volumes = session.volumes(Some(name)).map_err(Failure::text)?;
    match volumes.first().and_then(|v| v.option("diagnostics.count-fop-hits")) {
        Some("on") => Ok(()),
        _ => Err(Failure::text(format!("Profile on Volume {name} is not started"))),
    }
}

fn clear(session: &Session, name: &str) -> Outcome {
    must_run(session, name)?;
    let (volume, reports) = session.query(name, About::Bricks(BrickAsk::ProfileClear)).map_err(Failure::text)?;
    for report in by_brick(&reports) {
        let Some(brick) = volume.bricks.get(report.index).map(|b| b.name()) else { continue };
        if answered(&brick, report.value.as_ref()).is_some() {
            println!("{}Cleared stats.", title(&brick));
        }
    }
    Ok(0)
}

fn show(session: &Session, name: &str, parts: &[&str], peek: bool) -> Outcome {
    must_run(session, name)?;
    let about = About::Bricks(BrickAsk::Profile { peek });
    let (volume, reports) = session.query(name, about).map_err(Failure::text)?;
    let mut elements = vec![];
    for report in by_brick(&reports) {
        let Some(brick) = volume.bricks.get(report.index).map(|b| b.name()) else { continue };
        let Some(value) = answered(&brick, report.value.as_ref()) else { continue };
        let figures = parts.iter().map(|part| element(part, value));
        elements.push(node("brick", std::iter::once(leaf("brickName", &brick)).chain(figures).collect()));
        if !session.xml {
            print!("{}", text(&brick, value, parts));
        }
    }
    if session.xml {
        let head = vec![leaf("volname", name), leaf("profileOp", 3), leaf("brickCount", elements.len())];
        return session.say("", || node("volProfile", head.into_iter().chain(elements).collect()));
    }
    Ok(0)
}

/// What a brick answered; one that did not is said so.
fn answered<'a>(brick: &str, value: Option<&'a Result<Value, String>>) -> Option<&'a Value> {
    match value {
        Some(Ok(value)) => Some(value),
        Some(Err(why)) => {
            eprintln!("Brick {brick}: {why}");
            None
        }
        None => None,
    }
}

fn text(brick: &str, value: &Value, parts: &[&str]) -> String {
    let mut out = title(brick);
    for part in parts {
        let head = match *part {
            "cumulative" => "Cumulative Stats:".to_owned(),
            _ => format!("Interval {} Stats:", value["intervals"].as_u64().unwrap_or_default()),
        };
        let _ = write!(out, "{head}\n{}", figures(&value[*part]));
    }
    out
}

/// The brick's name, underlined.
fn title(brick: &str) -> String {
    let title = format!("Brick: {brick}");
    format!("{title}\n{}\n", "-".repeat(title.len()))
}

/// The figures of one part as XML.
fn element(part: &str, value: &Value) -> Node {
    let figures = &value[part];
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let block = |b: &Value| {
        node("block", vec![leaf("size", number(&b[0])), leaf("reads", number(&b[1])), leaf("writes", number(&b[2]))])
    };
    let fop = |f: Fop| {
        let latency = |name, ns: f64| leaf(name, format!("{ns:.6}"));
        let times = [latency("avgLatency", f.average), latency("minLatency", f.min), latency("maxLatency", f.max)];
        node("fop", [leaf("name", f.name), leaf("hits", f.calls)].into_iter().chain(times).collect())
    };
    let all = |key: &str| figures[key].as_array().cloned().unwrap_or_default();
    let mut parts = vec![
        node("blockStats", all("blocks").iter().map(block).collect()),
        node("fopStats", all("fops").iter().filter_map(Fop::read).map(fop).collect()),
        leaf("duration", number(&figures["duration"])),
        leaf("totalRead", number(&figures["read"])),
        leaf("totalWrite", number(&figures["written"])),
    ];
    if part == "interval" {
        parts.insert(0, leaf("interval", number(&value["intervals"])));
        return node("intervalStats", parts);
    }
    node("cumulativeStats", parts)
}

/// The figures of one part: sizes of reads and writes, then file operations by their share of the time.
fn figures(part: &Value) -> String {
    let mut out = blocks(part["blocks"].as_array().map_or(&[], Vec::as_slice));
    let mut fops: Vec<Fop> = part["fops"].as_array().into_iter().flatten().filter_map(Fop::read).collect();
    let total: f64 = fops.iter().map(|f| f.calls as f64 * f.average).sum();
    fops.sort_by(|a, b| (a.calls as f64 * a.average).total_cmp(&(b.calls as f64 * b.average)));
    if !fops.is_empty() {
        out.push_str(" %-latency   Avg-latency   Min-Latency   Max-Latency   No. of calls         Fop\n");
        out.push_str(" ---------   -----------   -----------   -----------   ------------        ----\n");
    }
    for Fop { name, calls, min, average, max } in &fops {
        let share = if total > 0.0 { *calls as f64 * average * 100.0 / total } else { 0.0 };
        let _ = writeln!(out, "{share:>10.2} {average:>10.2} ns {min:>10.2} ns {max:>10.2} ns {calls:>14} {name:>11}");
    }
    let number = |key: &str| part[key].as_u64().unwrap_or_default();
    let _ = writeln!(out, " \n    Duration: {} seconds", number("duration"));
    let _ = writeln!(out, "   Data Read: {} bytes\nData Written: {} bytes\n ", number("read"), number("written"));
    out
}

fn blocks(all: &[Value]) -> String {
    let mut out = String::new();
    for chunk in all.chunks(3) {
        let column = |n: usize| chunk.iter().map(|b| b[n].as_u64().unwrap_or_default()).collect::<Vec<_>>();
        let sizes: String = column(0).iter().map(|size| format!("{:>20} ", format!("{size}b+"))).collect();
        let row = |n: usize| column(n).iter().map(|count| format!("{count:>20} ")).collect::<String>();
        let _ = writeln!(out, "   Block Size: {sizes}\n No. of Reads: {}\nNo. of Writes: {}", row(1), row(2));
    }
    out
}

struct Fop {
    name: String,
    calls: u64,
    min: f64,
    average: f64,
    max: f64,
}

impl Fop {
    fn read(value: &Value) -> Option<Self> {
        let number = |n: usize| value[n].as_f64();
        let name = value[0].as_str()?.to_owned();
        Some(Self { name, calls: value[1].as_u64()?, min: number(2)?, average: number(3)?, max: number(4)? })
    }
}

/// `volume top`.
///
/// # Errors
/// [`Failure`].
pub fn top(session: &Session, words: &[&str]) -> Outcome {
    let [name, what, rest @ ..] = words else { return Err(Failure::Usage(TOP)) };
    if !matches!(*what, "open" | "read" | "write" | "opendir" | "readdir" | "read-perf" | "write-perf" | "clear") {
        return Err(Failure::Usage(TOP));
    }
    let is_perf = what.ends_with("-perf");
    let (mut only, mut count, mut rest) = (None, 100, rest);
    let (mut block, mut blocks) = (None, None);
    loop {
        rest = match rest {
            [] => break,
            ["brick", brick, more @ ..] => {
                only = Some(*brick);
                more
            }
            ["list-cnt", n, more @ ..] => {
                let Some(n) = n.parse().ok().filter(|n| *n <= 100) else {
                    eprintln!("list-cnt should be between 0 to 100");
                    return Err(Failure::Usage(TOP));
                };
                count = n;
                more
            }
            ["bs", n, more @ ..] if is_perf => {
                block = Some(above_zero(n, "block size")?);
                more
            }
            ["count", n, more @ ..] if is_perf => {
                blocks = Some(above_zero(n, "count")?);
                more
            }
            _ => return Err(Failure::Usage(TOP)),
        };
    }
    if block.is_some() != blocks.is_some() {
        eprintln!("Need to give both 'bs' and 'count'");
        return Err(Failure::Usage(TOP));
    }
    let clear = *what == "clear";
    let write = *what == "write-perf";
    let ask = match *what {
        "clear" => BrickAsk::TopClear,
        _ if is_perf => BrickAsk::Fastest { write, count },
        what => BrickAsk::Top { what: what.into(), count },
    };
    let failed = |why: String| Failure::text(format!("{why}\nvolume top unsuccessful"));
    let (volume, reports) = session.query(name, About::Bricks(ask)).map_err(failed)?;
    if only.is_some_and(|one| volume.bricks.iter().all(|b| b.name() != one)) {
        return Err(failed("Brick ops failed on localhost. Please check log file for details".into()));
    }
    let speeds = match (block, blocks) {
        (Some(block), Some(count)) => {
            session.query(name, About::Bricks(BrickAsk::Speed { write, block, count })).map_err(failed)?.1
        }
        _ if *what == "open" => session.query(name, About::Bricks(BrickAsk::Opens)).map_err(failed)?.1,
        _ => vec![],
    };
    let speed = |index: usize| by_brick(&speeds).into_iter().find(|b| b.index == index).and_then(|b| b.value.clone());
    let mut elements = vec![];
    for report in by_brick(&reports) {
        let Some(brick) = volume.bricks.get(report.index).map(|b| b.name()) else { continue };
        if only.is_some_and(|one| one != brick) {
            continue;
        }
        let Some(value) = answered(&brick, report.value.as_ref()) else { continue };
        match (session.xml, clear) {
            (true, _) => elements.push(listed(&brick, value)),
            (_, true) => println!("Cleared stats for brick {brick}"),
            _ if is_perf => print!("{}", fastest(&brick, value, speed(report.index).as_ref())),
            _ => print!("{}", list(&brick, speed(report.index).as_ref(), value)),
        }
    }
    if session.xml {
        let op = ["open", "read", "write", "opendir", "readdir", "read-perf", "write-perf"]
            .iter()
            .position(|w| w == what)
            .map_or(0, |n| n + 1);
        let head = vec![leaf("brickCount", elements.len()), leaf("topOp", op)];
        return session.say("", || node("volTop", head.into_iter().chain(elements).collect()));
    }
    Ok(0)
}

fn above_zero(word: &str, what: &str) -> Result<u64, Failure> {
    word.parse().ok().filter(|n| *n > 0).ok_or_else(|| {
        eprintln!("{what} should be an integer greater than zero");
        Failure::Usage(TOP)
    })
}

/// How fast a brick's disk is, if that was measured, and the files that were read or written fastest.
fn fastest(brick: &str, value: &Value, speed: Option<&Result<Value, String>>) -> String {
    let mut out = format!("Brick: {brick}\n");
    match speed {
        Some(Ok(speed)) => {
            let (rate, seconds) = (speed["megabytes"].as_f64(), speed["seconds"].as_f64());
            let (rate, seconds) = (rate.unwrap_or_default(), seconds.unwrap_or_default());
            let _ = writeln!(out, "Throughput {rate:.2} MBps time {seconds:.4} secs");
        }
        Some(Err(why)) => {
            let _ = writeln!(out, "{why}");
        }
        None => {}
    }
    let rows = value.as_array().map_or(&[][..], Vec::as_slice);
    if !rows.is_empty() {
        let _ = writeln!(out, "MBps {:<47} {:<26}\n==== {:<47} {:<26}", "Filename", "Time", "========", "====");
    }
    for row in rows {
        let (rate, path) = (row[0].as_u64().unwrap_or_default(), row[1].as_str().unwrap_or_default());
        let micros = row[3].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
        let time = crate::volume::manager::format_time(row[2].as_u64().unwrap_or_default(), micros);
        let _ = writeln!(out, "{rate:>4} {path:<47} {time}");
    }
    out
}

/// One brick's files as XML.
fn listed(brick: &str, value: &Value) -> Node {
    let rows = value.as_array().map_or(&[][..], Vec::as_slice);
    let file = |row: &Value| {
        let count = leaf("count", row[0].as_u64().unwrap_or_default());
        node("file", vec![leaf("filename", row[1].as_str().unwrap_or_default()), count])
    };
    let head = [leaf("name", brick), leaf("members", rows.len())];
    node("brick", head.into_iter().chain(rows.iter().map(file)).collect())
}

/// `Count⇥⇥filename`, most used first; the heads alone where there is something. Of open files also how many there are, and were.
fn list(brick: &str, opens: Option<&Result<Value, String>>, value: &Value) -> String {
    let mut out = format!("Brick: {brick}\n");
    if let Some(Ok(opens)) = opens {
        let number = |key: &str| opens[key].as_u64().unwrap_or_default();
        let micros = u32::try_from(number("micros")).unwrap_or_default();
        let time = crate::volume::manager::format_time(number("seconds"), micros);
        let (now, most) = (number("now"), number("most"));
        let _ = writeln!(out, "Current open fds: {now}, Max open fds: {most}, Max openfd time: {time}");
    }
    if value.as_array().is_some_and(|rows| !rows.is_empty()) {
        out.push_str("Count\t\tfilename\n=======================\n");
    }
    for row in value.as_array().into_iter().flatten() {
        let (count, path) = (row[0].as_u64().unwrap_or_default(), row[1].as_str().unwrap_or_default());
        let _ = writeln!(out, "{count}\t\t{path}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The captured shape: rows by their share of the time, the least first.
    #[test]
    fn a_profile_is_the_captured_shape() {
        let fops = serde_json::json!([
            ["WRITE", 24, 168_980, 1_198_248.75, 5_676_275],
            ["LOOKUP", 16, 116_593, 279_805.44, 711_654]
        ]);
        let value = serde_json::json!({"cumulative": {"duration": 472, "read": 0, "written": 3_145_728, "blocks": [[131_072, 0, 24]], "fops": fops}});
        let expected = "Brick: node1:/srv/data/fv\n-------------------------\nCumulative Stats:\n   \
            Block Size:             131072b+ \n No. of Reads:                    0 \nNo. of Writes:                   24 \n \
            %-latency   Avg-latency   Min-Latency   Max-Latency   No. of calls         Fop\n \
            ---------   -----------   -----------   -----------   ------------        ----\n     \
            13.47  279805.44 ns  116593.00 ns  711654.00 ns             16      LOOKUP\n     \
            86.53 1198248.75 ns  168980.00 ns 5676275.00 ns             24       WRITE\n \n    \
            Duration: 472 seconds\n   Data Read: 0 bytes\nData Written: 3145728 bytes\n \n";
        assert_eq!(text("node1:/srv/data/fv", &value, &["cumulative"]), expected);
    }
}
