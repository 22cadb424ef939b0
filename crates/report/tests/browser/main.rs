//! The page in a real browser, on a phone and on a desk, by day and by night, without a network.
//!
//! Needs Chromium: `EMBERLOOP_BROWSER`, or one of the usual names in the path. Without one the tests are reported as
//! ignored, with the reason; `EMBERLOOP_REQUIRE_BROWSER=1` makes that a failure. The pages of a folder that
//! `EMBERLOOP_REPORTS` names are looked at, too: what `emberloop` wrote, and no sample.

mod chromium;
#[path = "../samples/mod.rs"]
mod samples;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chromium::Chromium;
use emberloop_report::html;
use libtest_mimic::{Arguments, Trial};
use serde_json::{Value, json};

const MEASURE: &str = include_str!("measure.js");
const WINDOWS: [(u32, u32); 2] = [(360, 740), (1280, 800)];
const SCHEMES: [&str; 2] = ["light", "dark"];

fn main() -> ExitCode {
    type Test = (&'static str, fn(&Path));
    let tests: [Test; 3] = [
        ("every_page_fits_every_window_and_fetches_nothing", every_page_fits_every_window_and_fetches_nothing),
        ("the_scheme_of_the_reader_decides_the_colours", the_scheme_of_the_reader_decides_the_colours),
        ("the_checks_themselves_notice_damage", the_checks_themselves_notice_damage),
    ];
    let browser = chromium::find();
    let required = std::env::var("EMBERLOOP_REQUIRE_BROWSER").is_ok_and(|value| value == "1");
    let mut trials = tests
        .into_iter()
        .map(|(name, test)| match browser.clone() {
            Ok(browser) => Trial::test(name, move || {
                test(&browser);
                Ok(())
            }),
            Err(reason) if required => Trial::test(name, move || Err(reason.into())),
            Err(reason) => {
                println!("SKIPPED: {reason}");
                Trial::test(name, || Ok(())).with_kind(reason).with_ignored_flag(true)
            }
        })
        .collect::<Vec<_>>();
    let name = "pages_of_real_runs_fit_every_window_and_fetch_nothing";
    trials.push(match (std::env::var_os("EMBERLOOP_REPORTS").map(PathBuf::from), browser) {
        (Some(folder), Ok(browser)) => Trial::test(name, move || {
            pages_of_real_runs_fit_every_window_and_fetch_nothing(&browser, &folder);
            Ok(())
        }),
        // Whoever names a folder wants it looked at.
        (Some(_), Err(reason)) => Trial::test(name, move || Err(reason.into())),
        (None, _) => {
            Trial::test(name, || Ok(())).with_kind("EMBERLOOP_REPORTS names no folder").with_ignored_flag(true)
        }
    });
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn every_page_fits_every_window_and_fetches_nothing(program: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Chromium::start(program);
    for (name, report) in samples::all() {
        // A name that has to be escaped in an address.
        let file = folder.path().join(format!("{name}.html"));
        fs::write(&file, html(&report)).unwrap();
        for window in WINDOWS {
            for scheme in SCHEMES {
                let seen = look(&mut browser, &file, window, scheme);
                let problems = problems(&seen, window);
                assert!(problems.is_empty(), "{name} at {window:?}, {scheme}: {problems:#?}");
                assert_eq!(seen["headings"][0], "What was found", "{name}");
                assert!(
                    seen["top_of_findings"].as_f64().unwrap() < f64::from(window.1),
                    "{name}: {}",
                    seen["top_of_findings"]
                );
                let title =
                    if report.title.is_empty() { "Emberloop".into() } else { format!("{} · Emberloop", report.title) };
                assert_eq!(words(seen["title"].as_str().unwrap()), words(&title));
                // Each metric and the norm of the gradient, each layer's map, each gate.
                let plots = seen["svgs"].as_array().unwrap().len();
                assert!(
                    plots >= if report.epochs.is_empty() { 0 } else { 3 + report.gates.len() / 2 },
                    "{name}: {plots}"
                );
            }
        }
    }
}

fn pages_of_real_runs_fit_every_window_and_fetch_nothing(program: &Path, folder: &Path) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "html"));
    files.sort();
    assert!(!files.is_empty(), "{}: no page ends in .html", folder.display());
    let mut browser = Chromium::start(program);
    for file in files {
        let file = file.canonicalize().unwrap();
        for window in WINDOWS {
            for scheme in SCHEMES {
                let seen = look(&mut browser, &file, window, scheme);
                let problems = problems(&seen, window);
                assert!(problems.is_empty(), "{} at {window:?}, {scheme}: {problems:#?}", file.display());
                assert_eq!(seen["headings"][0], "What was found", "{}", file.display());
                assert!(
                    seen["top_of_findings"].as_f64().unwrap() < f64::from(window.1),
                    "{}: {}",
                    file.display(),
                    seen["top_of_findings"]
                );
                // A training has at least its loss and the norm of its gradient.
                let plots = seen["svgs"].as_array().unwrap().len();
                assert!(plots >= 2, "{}: {plots} plots", file.display());
            }
        }
    }
}

fn the_scheme_of_the_reader_decides_the_colours(program: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    fs::write(&file, html(&samples::usual())).unwrap();
    let mut browser = Chromium::start(program);
    let curve = "getComputedStyle(document.querySelector('polyline.train')).stroke";
    let mut colours = SCHEMES.map(|scheme| {
        let seen = look(&mut browser, &file, WINDOWS[1], scheme);
        [seen["background"].clone(), seen["ink"].clone(), browser.evaluate(curve)]
    });
    let [light, dark] = &mut colours;
    for (light, dark) in light.iter().zip(dark.iter()) {
        assert_ne!(light, dark);
    }
    let brightness = |colour: &Value| -> u32 {
        let numbers = colour.as_str().unwrap().split(|c: char| !c.is_ascii_digit());
        numbers.filter_map(|number| number.parse::<u32>().ok()).take(3).sum()
    };
    assert!(brightness(&light[0]) > 600 && brightness(&light[1]) < 200, "{light:?}");
    assert!(brightness(&dark[0]) < 150 && brightness(&dark[1]) > 600, "{dark:?}");
}

/// A page that is wrong in each way that is checked is found wrong in each.
fn the_checks_themselves_notice_damage(program: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.html");
    let page = html(&samples::usual()).replace("http-equiv=\"Content-Security-Policy\"", "name=\"none\"");
    let damage = "<img src=\"https://example.invalid/a.png\"><div style=\"width:2000px\">wide</div>\
                  <p style=\"color:#777;background:#888\">faint</p>\
                  <svg viewBox=\"0 0 10 10\" style=\"width:0;height:0\"></svg><script>console.error('damaged')</script></body>";
    fs::write(&file, page.replace("</body>", damage)).unwrap();
    let mut browser = Chromium::start(program);
    for window in WINDOWS {
        let seen = look(&mut browser, &file, window, "light");
        let problems = problems(&seen, window).join("\n");
        for expected in ["example.invalid", "wide", "faint", "no size", "nothing to see", "damaged", "scripts"] {
            assert!(problems.contains(expected), "{expected} at {window:?}: {problems}");
        }
    }
}

/// Opens a file, unfolds all that is folded, and measures; with all that was requested and complained about.
fn look(browser: &mut Chromium, file: &Path, window: (u32, u32), scheme: &str) -> Value {
    browser.pretend(window, scheme);
    browser.open(&format!("file://{}", file.display().to_string().replace(' ', "%20")));
    let folded = browser.evaluate(MEASURE);
    browser.evaluate("document.querySelectorAll('details').forEach(element => element.open = true)");
    let mut seen = browser.evaluate(MEASURE);
    // A page that fits unfolded fits folded, but for a bar.
    seen["folded_width"] = folded["page_width"].clone();
    seen["top_of_findings"] = folded["top_of_findings"].clone();
    let (mut requests, mut complaints) = (Vec::new(), Vec::new());
    for event in browser.events() {
        let parameters = &event["params"];
        match event["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => requests.push(parameters["request"]["url"].clone()),
            "Runtime.exceptionThrown" => complaints.push(parameters.clone()),
            "Runtime.consoleAPICalled" => complaints.push(parameters["args"].clone()),
            "Log.entryAdded" => complaints.push(parameters["entry"]["text"].clone()),
            _ => {}
        }
    }
    seen["requests"] = json!(requests);
    seen["complaints"] = json!(complaints);
    seen
}

/// What a reader would be annoyed by.
fn problems(seen: &Value, (width, _): (u32, u32)) -> Vec<String> {
    let mut problems = Vec::new();
    let mut check = |holds: bool, problem: String| {
        if !holds {
            problems.push(problem);
        }
    };
    for name in ["page_width", "folded_width", "window_width"] {
        check(seen[name].as_f64().is_some_and(|found| found <= f64::from(width)), format!("{name}: {}", seen[name]));
    }
    for name in ["too_wide", "faint", "complaints"] {
        check(seen[name] == json!([]), format!("{name}: {}", seen[name]));
    }
    check(seen["scripts"] == 0, format!("scripts: {}", seen["scripts"]));
    let requests: Vec<&str> = seen["requests"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    check(requests.len() == 1 && requests[0].starts_with("file://"), format!("requests: {requests:?}"));
    check(seen["resources"] == json!([]), format!("resources: {}", seen["resources"]));
    for svg in seen["svgs"].as_array().unwrap() {
        let label = &svg["label"];
        let number = |name: &str| svg[name].as_f64().unwrap_or(0.0);
        check(number("width") > 100.0 && number("height") > 40.0, format!("{label} has no size: {svg}"));
        check(number("shapes") > 0.0 && number("texts") > 0.0, format!("nothing to see in {label}: {svg}"));
        check(label.as_str().is_some_and(|label| !label.is_empty()), format!("an svg without a label: {svg}"));
        check(number("smallest_text") >= 9.0, format!("{label} has small text: {svg}"));
        check(svg["outside"] == json!([]) && svg["overlap"] == false, format!("{label}: {svg}"));
        let faint = svg["curves"].as_array().unwrap().iter().any(|contrast| contrast.as_f64().unwrap_or(0.0) < 3.0);
        check(!faint, format!("{label} has faint curves: {svg}"));
    }
    problems
}

/// A title, as a browser tidies it.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}
