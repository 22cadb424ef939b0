//! What every page must be, whatever it shows: one small file that fetches nothing, escaped, findings first.

mod samples;

use emberloop_findings::Cause;
use emberloop_report::{Report, html};

#[test]
fn no_page_fetches_or_runs_anything() {
    for (name, report) in samples::all() {
        let page = html(&report);
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"), "{name}");
        for word in ["<script", "<img", "<link rel=\"stylesheet", "@import", "url(", "http://", "https://"] {
            assert!(!page.contains(word), "{name}: {word}");
        }
        // Everything that opens is closed, so no text got out of its element.
        for tag in ["svg", "section", "table", "details", "figure", "pre", "td", "style"] {
            let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{name}: {tag}");
        }
        // Nothing that is no number is drawn, and no colour was left without a class.
        for shape in
            page.split("<svg").skip(1).filter_map(|rest| rest.split("</svg>").next()).flat_map(|svg| svg.split('<'))
        {
            let drawn = !shape.starts_with("text") && !shape.starts_with("title") && !shape.contains("aria-label");
            assert!(!drawn || !["NaN", "inf", "#", "=\"-"].iter().any(|word| shape.contains(word)), "{name}: {shape}");
        }
    }
}

#[test]
fn pages_are_small() {
    for (name, report) in samples::all() {
        let size = html(&report).len();
        assert!(size < 500_000, "{name}: {size} bytes");
    }
}

#[test]
fn names_are_text() {
    let page = html(&samples::hostile());
    let script =
        "&lt;script&gt;document.title='broken'&lt;/script&gt;&quot;'&amp;amp;&lt;img src=x onerror=alert(1)&gt;";
    assert!(page.contains(&format!("<h1>{script}")));
    assert!(page.contains("data/训练集") || page.contains("数据/训练集.csv"));
    assert!(page.contains("]]&gt; --&gt; &lt;/style&gt;"));
}

#[test]
fn findings_come_first_and_carry_their_fix() {
    let page = html(&samples::usual());
    let places = ["id=\"findings\"", "id=\"curves\"", "id=\"gradients\"", "id=\"gates\"", "id=\"confusion\""]
        .map(|id| page.find(id));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}");
    let first = page.find("Supposed root cause").unwrap();
    assert!(first < page.find("<h3>The classes are very uneven").unwrap());
    assert!(page[first..].contains("<code>learning-rate-high</code>"));
    assert!(page.contains("under [training], in optimizer: learning_rate = 0.003"), "{page}");
    assert!(page.contains("under [training]: take out accumulate"));
    assert!(page.contains("emberloop doctor CONFIG --fix"));
    // How far it can be trusted is read before what is said.
    let limit = page.find("Examined on 15 % of the training sequences and 3 of 60 epochs").unwrap();
    assert!(page.find("What was found").unwrap() < limit && limit < first);
}

#[test]
fn what_is_only_worth_a_look_is_no_root_cause() {
    let mut report = samples::usual();
    report.findings.drain(..2);
    let page = html(&report);
    assert!(page.contains("Worth a look · low confidence") && !page.contains("root cause"));
    // Nor would --fix touch it.
    assert!(!page.contains("--fix"));
}

#[test]
fn what_was_tried_and_mended_has_a_headline() {
    let page = html(&samples::mended());
    assert!(
        page.contains("Validation skill <b>0.2155 → 0.93</b> with this change: under [training], in optimizer"),
        "{page}"
    );
    assert!(page.contains("suspected: the learning rate is too high"));
    assert!(page.contains("Mended: val accuracy <b>0.2155 → 0.93</b>"));
    assert!(page.find("Mended:").unwrap() < page.find("Supposed root cause").unwrap());
    let mut worse = samples::mended();
    worse.mended.as_mut().unwrap().after = 0.1;
    let page = html(&worse);
    assert!(page.contains("The fixes did not help: val accuracy <b>0.2155 → 0.1</b>") && !page.contains("Mended:"));
}

#[test]
fn nothing_found_is_said_with_what_was_looked_for() {
    let page = html(&samples::nothing_found());
    assert!(
        page.contains("Nothing that the doctor knows was found.")
            && page.contains(&format!("None of these {} causes", Cause::ALL.len()))
    );
    assert!(Cause::ALL.iter().all(|cause| page.contains(cause.title())));
    // To have tried nothing is another thing.
    let page = html(&samples::only_read());
    assert!(page.contains("Nothing that the doctor knows was found without training again."));
    assert!(page.contains("None of these 20 causes") && page.contains("emberloop doctor CONFIG"));
    // Not to have looked is yet another.
    let page = html(&Report::default());
    assert!(page.contains("Nothing was looked for") && !page.contains("was found."));
}

#[test]
fn a_report_survives_json_with_what_json_cannot_say() {
    for (name, report) in samples::all() {
        let text = serde_json::to_string(&report).unwrap();
        let read: Report = serde_json::from_str(&text).unwrap();
        // NaN is not equal to itself; the page says whether all is there.
        assert_eq!(html(&read), html(&report), "{name}");
    }
    let error = serde_json::from_str::<Report>(
        r#"{"epochs":[{"epoch":1,"metrics":{"loss":"big"},"learning_rate":1,"gradient_norm":1}]}"#,
    );
    assert!(error.unwrap_err().to_string().starts_with("expected a number, NaN, inf or -inf, found \"big\""));
}
