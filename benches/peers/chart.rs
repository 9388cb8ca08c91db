//! The processor time as a picture: bars on a logarithmic scale, grouped by workload, as SVG by hand.
//!
//! ```text
//! arena           floor-tcp-33    ▇▇▇▇▇▇▇▇▇ 115
//!                 tickwire-tcp-33 ▇▇▇▇▇▇▇▇▇▇▇ 187
//!                 redis           ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇ 4,106
//!                                 100      1,000      10,000 ns
//! ```

use std::fmt::Write;

use super::machine::Machine;
use super::summary::Summary;
use super::table::{is_load, thousands};

/// The picture, or one that says that there is nothing to show.
pub(crate) fn svg(summary: &Summary<'_>, machine: &Machine) -> String {
    let groups = groups(summary);
    let all = || groups.iter().flat_map(|group| &group.bars).map(|bar| bar.nanos);
    let scale = Scale::around(all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    let bars: usize = groups.iter().map(|group| group.bars.len()).sum();
    let height = TOP + groups.len() as f64 * GROUP + bars as f64 * ROW + BOTTOM;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif\">\n\
         <style>{STYLE}</style>\n<title>Server processor time for each delivered message</title>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\"/>\n"
    );
    put(&mut text, "head", 20.0, 30.0, "", "Server processor time for each delivered message");
    put(&mut text, "note", 20.0, 50.0, "", "nanoseconds, logarithmic: a bar one step longer is ten times the time");
    let foot = height - BOTTOM;
    for power in scale.powers() {
        let x = scale.x(power);
        // Writing to a string does not fail.
        let _ = writeln!(text, "<path class=\"grid\" d=\"M{x:.1} {TOP}V{foot}\"/>");
        put(&mut text, "note", x, foot + 18.0, "middle", &thousands(power));
    }
    let mut y = TOP;
    for group in &groups {
        put(&mut text, "work", 20.0, y + GROUP - 9.0, "", &group.title);
        y += GROUP;
        for bar in &group.bars {
            draw(&mut text, bar, &scale, y);
            y += ROW;
        }
    }
    let legend = "floor-…-T and tickwire-…-T batch on a tick of T ms, 0 at once, as the others do. * did not keep up";
    put(&mut text, "note", 20.0, foot + 42.0, "", legend);
    put(
        &mut text,
        "note",
        20.0,
        foot + 60.0,
        "",
        &format!("{}, {}, {}", machine.date, machine.processor, machine.kernel),
    );
    text + "</svg>\n"
}

/// The bars of one workload.
struct Bars<'a> {
    title: String,
    bars: Vec<Bar<'a>>,
}

struct Bar<'a> {
    server: &'a str,
    nanos: f64,
    kept_up: bool,
}

fn groups<'a>(summary: &Summary<'a>) -> Vec<Bars<'a>> {
    let works = summary.works().into_iter().filter(|work| is_load(work));
    let group = |work: &'a str| {
        let bar = |server: &'a str| {
            let nanos = summary.median(server, work, "cpu_ns_per_delivery").filter(|nanos| *nanos > 0.0)?;
            Some(Bar { server, nanos, kept_up: summary.kept_up(server, work) })
        };
        Bars { title: title(work), bars: summary.servers().into_iter().filter_map(bar).collect() }
    };
    works.map(group).filter(|group| !group.bars.is_empty()).collect()
}

fn draw(text: &mut String, bar: &Bar<'_>, scale: &Scale, y: f64) {
    let (middle, end) = (y + ROW / 2.0 + 4.5, scale.x(bar.nanos).max(LEFT + 2.0));
    let class = match bar.server {
        name if name.starts_with("tickwire") => "ours",
        name if name.starts_with("floor") => "floor",
        _ => "peer",
    };
    put(text, if class == "ours" { "name us" } else { "name" }, LEFT - 8.0, middle, "end", bar.server);
    let _ = writeln!(
        text,
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\"/>",
        y + 2.5,
        end - LEFT,
        ROW - 5.0
    );
    let star = if bar.kept_up { "" } else { " *" };
    put(text, "name", end + 6.0, middle, "", &format!("{}{star}", thousands(bar.nanos)));
}

fn put(text: &mut String, class: &str, x: f64, y: f64, anchor: &str, what: &str) {
    let anchor = if anchor.is_empty() { String::new() } else { format!(" text-anchor=\"{anchor}\"") };
    let what = what.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(text, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\"{anchor}>{what}</text>");
}

/// From values to places, by powers of ten.
#[derive(Debug)]
struct Scale {
    /// Logarithms of what the left and the right end stand for.
    first: i32,
    last: f64,
}

impl Scale {
    /// From a whole power of ten to the highest value, at least one power.
    fn around(least: f64, most: f64) -> Self {
        if !least.is_finite() || least <= 0.0 {
            return Self { first: 0, last: 1.0 };
        }
        let first = least.log10().floor() as i32;
        Self { first, last: most.log10().max(f64::from(first + 1)) }
    }

    fn x(&self, value: f64) -> f64 {
        let first = f64::from(self.first);
        let share = (value.log10() - first) / (self.last - first);
        LEFT + share.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    fn powers(&self) -> impl Iterator<Item = f64> {
        (self.first..=self.last.floor() as i32).map(|power| 10f64.powi(power))
    }
}

fn title(work: &str) -> String {
    match work {
        "A" => "arena: 100 members, each sends 20/s to all".into(),
        "A100" => "arena at 100/s, each gathers its messages for a tick".into(),
        "B" => "ticker: 1 sends 100/s to 1,000".into(),
        "C" => "lobbies: 100 rooms of 10, each sends 20/s".into(),
        "D" => "fan-in: 1,000 send 10/s to 1".into(),
        size => size.replace('x', " rooms of ").replace('@', ", each sends ") + "/s",
    }
}

/// Colours that hold on white and on black, by the reader's own setting.
const STYLE: &str = "\
    text{fill:#1f2328;stroke:#ffffff;stroke-width:4px;paint-order:stroke}.head{font-size:17px;font-weight:600}.work{font-size:14px;font-weight:600}\
    .name{font-size:13px}.us{font-weight:600}.note{font-size:12px;fill:#59636e}\
    .grid{stroke:#d1d9e0;fill:none}.page{fill:#ffffff}\
    .ours{fill:#0969da}.floor{fill:#9aa4ae}.peer{fill:#c9843b}\
    @media (prefers-color-scheme:dark){text{fill:#f0f6fc;stroke:#0d1117}.note{fill:#9198a1}.grid{stroke:#3d444d}\
    .page{fill:#0d1117}.ours{fill:#4493f8}.floor{fill:#656c76}.peer{fill:#d29a56}}";

const WIDTH: f64 = 860.0;
const LEFT: f64 = 190.0;
/// Behind it is room for a figure.
const RIGHT: f64 = 770.0;
const TOP: f64 = 66.0;
const BOTTOM: f64 = 76.0;
const GROUP: f64 = 34.0;
const ROW: f64 = 21.0;

#[cfg(test)]
mod tests {
    use super::super::summary::tests::record;
    use super::*;

    #[test]
    fn a_scale_begins_with_a_power_of_ten_and_ends_with_the_highest() {
        let scale = Scale::around(115.0, 34_000.0);
        assert_eq!(scale.powers().collect::<Vec<_>>(), [100.0, 1000.0, 10_000.0]);
        assert_eq!((scale.x(100.0), scale.x(34_000.0)), (LEFT, RIGHT));
        let step = scale.x(1000.0) - LEFT;
        assert!((scale.x(10_000.0) - LEFT - 2.0 * step).abs() < 1e-9);
        // One value, and none.
        assert_eq!(Scale::around(100.0, 100.0).powers().count(), 2);
        assert_eq!(Scale::around(f64::INFINITY, 0.0).powers().count(), 2);
    }

    #[test]
    fn a_picture_has_a_bar_for_each_server_and_load() {
        let records = [
            record("floor-ws-33", "A", 1, 115.0),
            record("tickwire-ws-33", "A", 1, 187.0),
            record("a<b", "A", 1, 4106.0),
            record("floor-ws-33", "VA", 1, 9.0),
        ];
        let text = svg(&Summary::new(&records), &Machine::default());
        let bars = |class: &str| text.matches(&format!("<rect class=\"{class}\"")).count();
        assert_eq!((bars("ours"), bars("floor"), bars("peer")), (1, 1, 1));
        assert!(text.contains("a&lt;b") && text.contains(">4,106</text>") && !text.contains("VA"));
        assert!(text.ends_with("</svg>\n"));
        assert!(!svg(&Summary::new(&[]), &Machine::default()).contains("NaN"));
    }
}
