//! Whatever is wrong with a configuration, with data or with the arguments: one line that names file and place, a status
//! other than 0, nothing on stdout, and every file as it was.

mod common;

use common::data::{LONG_TOML, NPZ_TOML, Npz, SERIES_TOML, long_csv, series_csv, slopes, slopes_npz};
use common::models::slopes_model;
use common::{Folder, assert_says};

/// A folder with slopes to train on.
fn slopes_folder() -> Folder {
    let folder = Folder::new();
    folder.write("train.csv", long_csv(&slopes(30, 1)));
    folder.write("train.toml", LONG_TOML);
    folder
}

/// Training refuses a configuration in which `from` has become `to`.
#[track_caller]
fn refused_config(from: &str, to: &str) -> String {
    let folder = slopes_folder();
    assert!(LONG_TOML.contains(from), "{from}");
    folder.write("train.toml", LONG_TOML.replacen(from, to, 1));
    folder.refuses(&["train", "train.toml"])
}

/// Training refuses data in which the line with number `line` has become `text`.
#[track_caller]
fn refused_line(line: usize, text: &str) -> String {
    let folder = slopes_folder();
    let csv = long_csv(&slopes(30, 1));
    let mut lines: Vec<&str> = csv.lines().collect();
    lines[line - 1] = text;
    folder.write("train.csv", lines.join("\n"));
    folder.refuses(&["train", "train.toml"])
}

#[test]
fn files_that_are_not_there() {
    let folder = slopes_folder();
    assert_says(&folder.refuses(&["train", "absent.toml"]), &["absent.toml: cannot be read: No such file"]);
    assert_says(&refused_config("train.csv", "absent.csv"), &["absent.csv: cannot read it: No such file"]);
    let said = refused_config("test_fraction = 0.2", "test = \"absent.csv\"");
    assert_says(&said, &["absent.csv: cannot read it"]);

    let folder = slopes_model();
    for arguments in [
        &["evaluate", "absent.safetensors", "--data", "other.csv"][..],
        &["compare", "absent.safetensors", "model/model.ember", "--data", "other.csv"],
        &["compare", "model/checkpoint.safetensors", "absent.ember", "--data", "other.csv"],
        &["quantize", "absent.safetensors", "--config", "train.toml"],
        &["run", "absent.ember"],
        &["inspect", "absent.ember"],
        &["flash", "absent.ember", "--board", "qemu-m4"],
        &["finetune", "train.toml", "--from", "absent.safetensors"],
    ] {
        let said = folder.refuses(arguments);
        assert_says(&said, &["absent.", "cannot read the model: No such file"]);
        assert_eq!(said.matches("No such file").count(), 1, "said once: {said}");
    }
    let said = folder.refuses(&["evaluate", "model/model.ember", "--data", "absent.csv"]);
    assert_says(&said, &["absent.csv: cannot read it"]);
    let said = folder.refuses(&["quantize", "model/checkpoint.safetensors", "--calibrate", "absent.csv"]);
    assert_says(&said, &["absent.csv: cannot read it"]);
}

#[test]
fn a_key_that_does_not_exist_is_answered_with_its_line_and_the_nearest() {
    let line = |word: &str| 1 + LONG_TOML.lines().position(|line| line.contains(word)).unwrap();
    let said = refused_config("epochs = 25", "epoch = 25");
    assert_says(&said, &[&format!("train.toml, line {}: unknown key \"epoch\"", line("epochs")), "mean \"epochs\"?"]);
    let said = refused_config("step = ", "steps = ");
    assert_says(&said, &[&format!("train.toml, line {}: unknown key \"steps\"", line("step =")), "mean \"step\"?"]);
    let said = refused_config("[model]", "[modle]");
    assert_says(&said, &["unknown key \"modle\"", "did you mean \"model\"?"]);
    let said = refused_config("kind = \"adam\", learning_rate", "kind = \"adam\", learn_rate");
    assert_says(&said, &[&format!("line {}", line("adam")), "\"learn_rate\"", "did you mean \"learning_rate\"?"]);
    let said = refused_config("\"adam\"", "\"adm\"");
    assert_says(&said, &["unknown value \"adm\" (did you mean \"adam\"?)"]);
}

#[test]
fn values_that_cannot_be() {
    assert_says(&refused_config("epochs = 25", "epochs = 0"), &["train.toml: training.epochs: expected at least 1"]);
    assert_says(&refused_config("[8]", "[0]"), &["train.toml: model.hidden: expected 1 to 4096 units", "found [0]"]);
    assert_says(&refused_config("[8]", "[]"), &["model.hidden: expected at least one layer"]);
    assert_says(&refused_config("2e-2", "-1"), &["training.optimizer.learning_rate: expected a number above 0"]);
    assert_says(&refused_config("2e-2", "nan"), &["training.optimizer.learning_rate", "found NaN"]);
    assert_says(&refused_config("batch = 8", "batch = \"eight\""), &["train.toml, line ", "string \"eight\""]);
    assert_says(&refused_config("test_fraction = 0.2", "test_fraction = 1.5"), &["[data] test_fraction: expected"]);
    assert_says(&refused_config("batch = 8", "batch = "), &["train.toml, line "]);
    assert_says(&refused_config("train = \"train.csv\"", ""), &["train.toml, line 2", "missing field `train`"]);
    assert_says(&refused_config("train.csv", "train.xlsx"), &["train.xlsx: file name: expected an extension"]);
    let said = refused_config("target = \"label\"", "task = \"regression\"\ntarget = \"label\"");
    assert_says(&said, &["train.csv: line 2, column label: expected a number, found \"fall\""]);
}

#[test]
fn columns_that_are_not_there_are_answered_with_the_nearest() {
    let said = refused_config("\"noise\"]", "\"noize\"]");
    assert_says(&said, &["train.csv: no column \"noize\" (did you mean \"noise\"?)", "it has: sequence, step"]);
    assert_says(&refused_config("\"label\"", "\"lable\""), &["no column \"lable\" (did you mean \"label\"?)"]);
    let said = refused_config("sequence = \"sequence\"", "sequence = \"series\"");
    assert_says(&said, &["train.csv: no column \"series\""]);

    // The same of a file for a trained model.
    let folder = slopes_model();
    folder.write("other.csv", String::from_utf8(folder.read("other.csv")).unwrap().replace("level", "levle"));
    for model in ["model/checkpoint.safetensors", "model/model.ember", "model/model.q.safetensors"] {
        let said = folder.refuses(&["evaluate", model, "--data", "other.csv"]);
        assert_says(&said, &["other.csv: no column \"level\" (did you mean \"levle\"?)"]);
    }
}

#[test]
fn values_that_are_missing_or_infinite() {
    for cell in ["NaN", "", "NA", "?"] {
        let said = refused_line(3, &format!("s0,1,{cell},0.5,fall"));
        assert_says(&said, &["train.csv: sequence s0, step 1, channel level: expected a number, found no value"]);
        assert_says(&said, &["missing = \"hold_last\" or \"mean\" under [scaler]"]);
    }
    for cell in ["inf", "-inf", "1e99"] {
        let said = refused_line(3, &format!("s0,1,{cell},0.5,fall"));
        assert_says(&said, &["train.csv: line 3, column level: expected a finite number", cell]);
    }
    assert_says(&refused_line(3, "s0,1,x,0.5,fall"), &["line 3, column level: expected a number, found \"x\""]);

    // A model whose policy is `error` refuses them too, in float and on the board.
    let folder = slopes_model();
    folder.write("other.csv", "sequence,step,level,noise,label\nq,0,1,0,rise\nq,1,2,NaN,rise\n");
    for model in ["model/checkpoint.safetensors", "model/model.ember"] {
        let said = folder.refuses(&["evaluate", model, "--data", "other.csv"]);
        assert_says(&said, &["other.csv: sequence q, step 2, noise: expected a number, found none (the model refuses"]);
    }
    let both = ["compare", "model/checkpoint.safetensors", "model/model.ember", "--data", "other.csv"];
    assert_says(
        &folder.refuses(&both),
        &["other.csv: sequence q, step 2, noise: expected a number, found none (the model refuses"],
    );
    let quantize = ["quantize", "model/checkpoint.safetensors", "--calibrate", "other.csv"];
    assert_says(
        &folder.refuses(&quantize),
        &["other.csv: sequence q, step 2, noise: expected a number, found none (the model refuses"],
    );
}

#[test]
fn files_and_sequences_without_content() {
    let folder = slopes_folder();
    for (content, says) in [
        ("", "train.csv: line 1: expected a header that names the columns, found an empty file"),
        ("sequence,step,level,noise,label\n", "train.csv: line 2: expected a row of data, found the end of the file"),
    ] {
        folder.write("train.csv", content);
        assert_says(&folder.refuses(&["train", "train.toml"]), &[says]);
    }
    assert_says(&refused_line(3, "s0,1,2,fall"), &["train.csv: line 3: expected 5 fields as in the header, found 4"]);

    // A sequence of no steps.
    let folder = Folder::new();
    folder.write("train.toml", NPZ_TOML.replace("test = \"test.npz\"\n", ""));
    let npz = Npz::new().with("x", &[3, 2, 2], &[0.5f32; 12]).with("y", &[3], &[0i64, 1, 2]);
    folder.write("train.npz", npz.with("lengths", &[3], &[2i64, 0, 1]).bytes());
    assert_says(&folder.refuses(&["train", "train.toml"]), &["train.npz: array \"lengths\"", "1", "found 0"]);

    // A series that is shorter than one window.
    folder.write("series.csv", series_csv(6));
    folder.write("train.toml", SERIES_TOML);
    let said = folder.refuses(&["train", "train.toml"]);
    assert_says(&said, &["series.csv: windows of the training part: expected at least one of 8 rows"]);
}

#[test]
fn labels_that_training_never_showed() {
    let folder = slopes_model();
    folder.write("other.csv", "sequence,step,level,noise,label\nq,0,1,0,rise\nr,0,2,0,jump\n");
    for arguments in [
        &["evaluate", "model/checkpoint.safetensors", "--data", "other.csv"][..],
        &["evaluate", "model/model.ember", "--data", "other.csv"],
        &["compare", "model/checkpoint.safetensors", "model/model.ember", "--data", "other.csv"],
    ] {
        let said = folder.refuses(arguments);
        assert_says(
            &said,
            &["other.csv: line 3, column label: label \"jump\" was not seen in training", "fall, flat, rise"],
        );
    }
    let said = {
        let folder = slopes_folder();
        folder.write("v.csv", "sequence,step,level,noise,label\nq,0,1,0,jump\n");
        folder.write("train.toml", LONG_TOML.replace("validation_fraction = 0.2", "validation = \"v.csv\""));
        folder.refuses(&["train", "train.toml"])
    };
    assert_says(
        &said,
        &["v.csv: line 2, column label: label \"jump\" was not seen in training; known labels: fall, flat, rise"],
    );
}

#[test]
fn shapes_that_do_not_match() {
    let folder = Folder::new();
    folder.write("train.toml", NPZ_TOML);
    let data = slopes_npz(&slopes(30, 1));
    folder.write("train.npz", &data);
    folder.write("test.npz", &data);
    common::models::train_and_quantize(&folder);
    let wide = Npz::new().with("x", &[2, 4, 3], &[0.5f32; 24]).with("y", &[2], &[0i64, 1]);
    folder.write("wide.npz", wide.with("lengths", &[2], &[4i64, 4]).bytes());
    for arguments in [
        &["evaluate", "model/checkpoint.safetensors", "--data", "wide.npz"][..],
        &["evaluate", "model/model.ember", "--data", "wide.npz"],
        &["compare", "model/checkpoint.safetensors", "model/model.ember", "--data", "wide.npz"],
        &["quantize", "model/checkpoint.safetensors", "--calibrate", "wide.npz"],
    ] {
        assert_says(&folder.refuses(arguments), &["wide.npz: array \"x\"", "2 channels", "3"]);
    }
    // Two files that disagree, and arrays that do.
    folder.write("test.npz", Npz::new().with("x", &[1, 4, 3], &[0.5f32; 12]).with("y", &[1], &[0i64]).bytes());
    assert_says(&folder.refuses(&["train", "train.toml"]), &["test.npz: "]);
    let uneven = Npz::new().with("x", &[3, 4, 2], &[0.5f32; 24]).with("y", &[2], &[0i64, 1]);
    folder.write("train.npz", uneven.with("lengths", &[3], &[4i64; 3]).bytes());
    assert_says(&folder.refuses(&["train", "train.toml"]), &["train.npz: array \"y\"", "[3]", "[2]"]);
    folder.write("train.npz", &data[..data.len() / 2]);
    assert_says(&folder.refuses(&["train", "train.toml"]), &["train.npz: archive: expected a complete NPZ"]);

    // A configuration of other data than the model's; and an image that no checkpoint speaks for.
    let other = slopes_model();
    other.write("series.csv", series_csv(80));
    other.write("series.toml", SERIES_TOML);
    for model in ["model/checkpoint.safetensors", "model/model.ember"] {
        let said = other.refuses(&["evaluate", model, "--config", "series.toml"]);
        assert_says(
            &said,
            &["series.csv: inputs: expected the model's channels level, noise, found load, temperature"],
        );
        let toml =
            LONG_TOML.replace("target = \"label\"", "target = \"noise\"\ntask = \"regression\"\ntarget_per = \"step\"");
        other.write("values.toml", toml.replace("train.csv", "other.csv"));
        let said = other.refuses(&["evaluate", model, "--config", "values.toml"]);
        assert_says(&said, &["values.toml: its data do not fit the model: expected the classes fall, flat, rise"]);
        assert_says(&said, &["for each sequence, found the values noise for each step"]);
    }
    other.write("alone/model.ember", other.read("model/model.ember"));
    let said = other.refuses(&["evaluate", "alone/model.ember", "--data", "other.csv"]);
    assert_says(&said, &["this model does not remember which columns hold its data; add --config"]);
}

#[test]
fn arguments_that_do_not_go_together() {
    let folder = slopes_model();
    let checkpoint = "model/checkpoint.safetensors";
    assert_says(&folder.refuses(&["evaluate", checkpoint]), &["no data: give --data FILE, or --config TOML"]);
    assert_says(&folder.refuses(&["quantize", checkpoint]), &["no calibration data: give --calibrate FILE"]);
    folder.write("untested.toml", LONG_TOML.replace("test_fraction = 0.2\n", ""));
    let said = folder.refuses(&["evaluate", checkpoint, "--config", "untested.toml"]);
    assert_says(&said, &["untested.toml: has no test split"]);
    let said = folder.refuses(&["finetune", "train.toml", "--from", checkpoint, "--freeze", "rnn.l7"]);
    assert_says(&said, &["freeze: expected one of head, rnn, rnn.l0, found \"rnn.l7\""]);
    let said = folder.refuses(&["finetune", "train.toml", "--from", checkpoint, "--freeze", "rnn,head"]);
    assert_says(&said, &["freeze: expected something left to train"]);
    // An image where a checkpoint is asked for, and the other way round.
    let said = folder.refuses(&["quantize", "model/model.ember", "--config", "train.toml"]);
    assert_says(&said, &["model/model.ember: expected a float checkpoint"]);
    let said = folder.refuses(&["run", checkpoint]);
    assert_says(&said, &["model/checkpoint.safetensors: expected a device image (.ember), found a float checkpoint"]);
    let said = folder.refuses(&["flash", "model/model.ember"]);
    assert_says(&said, &["no board: give --board NAME, one of ", "qemu-m4 ("]);
    assert_says(&folder.refuses(&["flash", "model/model.ember", "--board", "qemu-m5"]), &["qemu-m5", "qemu-m55"]);
    // Text that is no model.
    let said = folder.refuses(&["inspect", "other.csv"]);
    assert_says(&said, &["other.csv: expected a device image", "found neither: it starts with \"sequence,\""]);
    assert_says(
        &folder.refuses(&["inspect", "train.toml"]),
        &["train.toml: expected a device image", "or a safetensors file, found neither: it starts with"],
    );
}

#[test]
fn a_bidirectional_model_cannot_stream() {
    let folder = slopes_folder();
    folder.write("train.toml", LONG_TOML.replace("[model]", "[model]\nbidirectional = true").replace("= 25", "= 1"));
    folder.run(&["train", "train.toml", "--out", "model"]).succeeds();
    let said = folder.refuses(&["quantize", "model/checkpoint.safetensors", "--config", "train.toml"]);
    assert_says(&said, &["expected", "bidirectional"]);
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_device_that_was_not_built_in() {
    let folder = slopes_model();
    for arguments in [
        &["train", "train.toml", "--device", "cuda"][..],
        &["evaluate", "model/checkpoint.safetensors", "--data", "other.csv", "--device", "cuda"],
    ] {
        assert_says(&folder.refuses(arguments), &["device cuda: this program was built without it", "--features cuda"]);
    }
}

#[test]
fn folders_that_cannot_be_written() {
    let folder = slopes_model();
    folder.write("file", "");
    let said = folder.refuses(&["train", "train.toml", "--out", "file/run"]);
    assert_says(&said, &["file/run: cannot create the folder: Not a directory"]);
    let said = folder.refuses(&["train", "train.toml", "--out", "file"]);
    assert_says(&said, &["file: "]);
    let quantize = ["quantize", "model/checkpoint.safetensors", "--config", "train.toml", "--out"];
    for out in ["absent/model", "file/model"] {
        let said = folder.refuses(&[&quantize[..], &[out]].concat());
        assert_says(&said, &[out, ".q.safetensors: cannot be written (what was there is unchanged)"]);
    }
}

#[test]
fn a_run_is_never_trained_over() {
    let folder = slopes_model();
    let said = folder.refuses(&["train", "train.toml", "--out", "model"]);
    assert_says(&said, &["model: holds a finished run; give another --out"]);
    let finetune = ["finetune", "train.toml", "--from", "model/checkpoint.safetensors", "--out", "model"];
    assert_says(&folder.refuses(&finetune), &["model: holds a finished run"]);
    // Nor is a folder's own configuration replaced by another one.
    folder.write("project/train.toml", "# mine\n");
    let said = folder.refuses(&["train", "train.toml", "--out", "project"]);
    assert_says(&said, &["project/train.toml: would be replaced by train.toml; give another --out"]);
}

#[test]
fn json_prints_nothing_where_there_is_nothing_to_say() {
    let folder = slopes_model();
    for arguments in [
        &["--json", "train", "absent.toml"][..],
        &["--json", "evaluate", "model/model.ember", "--data", "absent.csv"],
        &["--json", "compare", "model/checkpoint.safetensors", "absent.ember", "--data", "other.csv"],
        &["--json", "inspect", "train.csv"],
        &["--json", "run", "absent.ember"],
    ] {
        folder.refuses(arguments);
    }
}
