//! `emberloop` alone: the whole pipeline on the embedded data, here with few epochs of a smaller model.

mod common;

use std::path::Path;

use common::{Folder, assert_says, number};

const FOLDER: &str = "models/japanese-vowels";

fn repository(file: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(FOLDER).join(file)).unwrap()
}

/// A configuration that stands there already is taken, and stays.
fn small() -> Folder {
    let folder = Folder::new();
    let toml = String::from_utf8(repository("train.toml")).unwrap();
    let toml = toml.replace("epochs = 100", "epochs = 4").replace("hidden = [48]", "hidden = [12]");
    assert!(toml.contains("epochs = 4") && toml.contains("[12]"));
    folder.write(Path::new(FOLDER).join("train.toml"), toml);
    for file in ["train.npz", "test.npz"] {
        folder.write(Path::new(FOLDER).join(file), repository(file));
    }
    folder
}

#[test]
fn it_goes_all_the_way() {
    let folder = small();
    let before = folder.snapshot();
    let said = folder.run(&["--json"]).json();
    assert_eq!(said["run"], "runs/japanese-vowels");
    assert_eq!(number(&said, "/comparison/sequences"), 370.0);
    let seeds: Vec<f64> =
        said["test_accuracy_by_seed"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    assert_eq!(seeds.len(), 3);
    assert!(seeds[0] != seeds[1] || seeds[1] != seeds[2], "the seeds train different models");
    let mut sorted = seeds.clone();
    sorted.sort_by(f64::total_cmp);
    assert_eq!(number(&said, "/median_test_accuracy"), sorted[1]);
    let fixed = number(&said, "/comparison/fixed/accuracy");
    assert!(fixed > 0.2, "it has learned something in four epochs: {fixed}");
    assert!(number(&said, "/comparison/logit_error") < 0.05, "{said}");

    // The report tells the same numbers.
    let report = String::from_utf8(folder.read("runs/japanese-vowels/report.md")).unwrap();
    assert_says(&report, &["# Japanese Vowels", "## Training", "## Quantization", "## Float against fixed point"]);
    assert_says(&report, &[&format!("accuracy {:.2} %", 100.0 * fixed), &format!("{:.2} %", 100.0 * sorted[1])]);
    for file in ["checkpoint.safetensors", "model.ember", "model.q.safetensors", "model.seq"] {
        assert!(folder.exists(&format!("runs/japanese-vowels/{file}")), "{file}");
    }
    // The files are models like any other; and the example's own files are as they were.
    let test = format!("{FOLDER}/test.npz");
    let evaluate = ["evaluate", "runs/japanese-vowels/model.ember", "--data", &test, "--json"];
    assert_eq!(number(&folder.run(&evaluate).json(), "/accuracy"), fixed);
    let after = folder.snapshot();
    for (name, content) in before {
        assert!(after[&name] == content, "{}", name.display());
    }
}

#[cfg(unix)]
#[test]
fn it_brings_its_data_along() {
    use std::process::Stdio;

    let folder = Folder::new();
    let mut command = folder.command(&["--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Once a training has begun everything is unpacked.
    while !folder.exists("runs/japanese-vowels/log-seed-1.jsonl") && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let kill = std::process::Command::new("sh").args(["-c", "kill -INT $0", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let ran = common::Ran::new(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{ran:?}");
    assert_says(&ran.stderr, &["unpacked the example to models/japanese-vowels"]);
    assert_says(&ran.last_error(), &["training interrupted"]);
    for file in ["train.toml", "train.npz", "test.npz", "LICENSE.md"] {
        assert!(folder.read(Path::new(FOLDER).join(file)) == repository(file), "{file}");
    }
    assert!(!folder.exists("runs"), "nothing half-made is left");
}
