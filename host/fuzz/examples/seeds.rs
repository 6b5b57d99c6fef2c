//! Writes the seeds that are made by hand, into `fixtures/fuzz`: those of formats that
//! nobody can type. The others were found by libFuzzer, or are text.
//!
//! ```sh
//! cargo run -p rusty-genius--fuzz --example seeds
//! ```

use rusty_genius_core::gguf::{GgufWriter, TensorType};
use std::path::PathBuf;
use std::{fs, io};

fn write(target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../fixtures/fuzz", target]
        .iter()
        .collect();
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}

fn component(name: &str, text: &str) -> io::Result<()> {
    let bytes = wat::parse_str(text).map_err(io::Error::other)?;
    write("component", name, &bytes)
}

fn components() -> io::Result<()> {
    component("empty", "(component)")?;
    component(
        "workflow",
        r#"(component
            (import "rusty-genius:genius/types@0.2.0" (instance $types (export "turn" (type (sub resource)))))
            (alias export $types "turn" (type $turn))
            (import "turn" (type (eq $turn)))
            (import "rusty-genius:genius/cortex@0.2.0" (instance (export "f" (func))))
            (import "wasi:cli/stdout@0.2.6" (instance (export "get" (func))))
            (core module $main
                (memory (export "memory") 17 100)
                (table 1 funcref)
                (global i32 (i32.const 1))
                (func (export "run"))
                (data (i32.const 0) "some data")
                (@producers (language "Rust" "2024") (processed-by "rustc" "1.95.0")))
            (core instance $main (instantiate $main))
            (func $run (canon lift (core func $main "run")))
            (export "run" (func $run))
            (@custom "notes" "more"))"#,
    )?;
    component(
        "policy",
        r#"(component
            (core module $m (func (export "a") (result i32) unreachable)
                (func (export "c") (param i32 i32 i32) (result i32) unreachable))
            (core instance $m (instantiate $m))
            (type $f (func async))
            (func $f (type $f) (canon lift (core func $m "a") async (callback (func $m "c"))))
            (export "configure" (func $f))
            (export "decide" (func $f)))"#,
    )?;
    component(
        "nested",
        r#"(component
            (component (component (core module (memory i64 1) (memory 2 3)))
                (import "a" (func)) (export "b" (func 0)))
            (core type (module (import "a" "b" (func))))
            (type (component (import "a" (core module (import "x" "y" (func))))
                (export "b" (type (sub resource)))))
            (import "acme:door/key@1.2.3-rc.1" (func)))"#,
    )?;
    let module = wat::parse_str("(module (memory 1))").map_err(io::Error::other)?;
    write("component", "module", &module)
}

fn models() -> io::Result<()> {
    let save = |name: &str, writer: &GgufWriter<'_>| {
        let mut file = Vec::new();
        writer.write(&mut file).map_err(io::Error::other)?;
        write("gguf", name, &file)
    };
    save("empty", &GgufWriter::new())?;
    let mut writer = GgufWriter::new();
    writer.set("general.architecture", "llama");
    writer.set("general.file_type", 15_u32);
    writer.set("llama.context_length", 512_u32);
    writer.set("tokenizer.ggml.tokens", ["<s>", "a", "ä"]);
    writer.set("tokenizer.ggml.scores", [0.5_f32, 1.0, -1.0]);
    writer.set("tokenizer.chat_template", "{{ messages }}");
    writer.tensor("output.weight", &[4, 2], TensorType::F32, vec![0; 32]);
    writer.tensor("token_embd.weight", &[32, 1], TensorType::Q8_0, vec![1; 34]);
    save("model", &writer)?;
    let mut writer = GgufWriter::with_alignment(64);
    writer.set("a", true).set("b", -1_i8).set("c", 1_u8);
    writer.set("d", -2_i16).set("e", 2_u16).set("f", -3_i32);
    writer.set("g", 3_u64).set("h", -4_i64).set("i", 0.25_f64);
    writer.set("j", vec![vec![1_u8, 2], vec![], vec![3]]);
    writer.tensor("t", &[1, 1, 1, 1], TensorType::F16, vec![0; 2]);
    save("values", &writer)
}

fn outputs() -> io::Result<()> {
    let case = |name: &str, head: &[u8], text: &str| {
        write("output", name, &[head, text.as_bytes()].concat())
    };
    case("text", &[0, 2, 1, 5], "Narf! Ä 🧀 Poit.")?;
    case(
        "thoughts",
        &[0, 1, 3],
        "a<think>b<think>c</think>d</think>e<thin",
    )?;
    case("hidden", &[3, 1, 7], "thinking</think>said<think>more")?;
    let call =
        "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>";
    case(
        "call",
        &[0, 3, 1, 2, 3],
        &format!("Well: {call}{call} done"),
    )?;
    case(
        "no-call",
        &[0, 1, 4],
        &format!("<tool_call>[]</tool_call><tool_call>{call}"),
    )?;
    let stops = [8, 2, b'E', b'N', 4, b'E', b'N', b'D', b'E', 1, 2];
    case("stop", &stops, "<think>END</think>E<think></think>ENDENDE")
}

fn main() -> io::Result<()> {
    components()?;
    models()?;
    outputs()
}
