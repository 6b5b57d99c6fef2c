use super::*;
use proptest::prelude::*;

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn read(text: &str) -> ComponentInfo {
    ComponentInfo::read(&wasm(text)).unwrap()
}

/// A guest as toolchains make them, but for its code.
const GUEST: &str = r#"(component
    (import "rusty-genius:genius/types@0.2.0" (instance $types (export "turn" (type (sub resource)))))
    (alias export $types "turn" (type $turn))
    (import "turn" (type (eq $turn)))
    (import "rusty-genius:genius/cortex@0.2.0" (instance (export "f" (func))))
    (import "wasi:cli/stdout@0.2.6" (instance $stdout (export "get" (func))))
    (import "wasi:filesystem/types@0.2.6" (instance))
    (core module $main
        (memory (export "memory") 17 100)
        (func (export "run"))
        (data (i32.const 0) "twelve bytes")
        (@producers (language "Rust" "2024") (processed-by "rustc" "1.95.0"))
        (@custom "note" "five5"))
    (component (core module (memory 1) (@producers (language "C" "") (language "Rust" "2024"))))
    (core instance $main (instantiate $main))
    (func $run (canon lift (core func $main "run")))
    (export "run" (func $run))
    (@custom "notes" "more"))"#;

#[test]
fn a_guests_outside_is_told() {
    let info = read(GUEST);
    let imports: Vec<_> = info.imports.iter().map(|i| (&*i.name, i.kind)).collect();
    assert_eq!(
        imports,
        [
            ("rusty-genius:genius/types@0.2.0", ExternKind::Interface),
            ("turn", ExternKind::Type),
            ("rusty-genius:genius/cortex@0.2.0", ExternKind::Interface),
            ("wasi:cli/stdout@0.2.6", ExternKind::Interface),
            ("wasi:filesystem/types@0.2.6", ExternKind::Interface),
        ]
    );
    let stdout = &info.imports[3];
    assert_eq!(stdout.package(), Some("wasi:cli"));
    assert_eq!(stdout.interface(), Some("stdout"));
    assert_eq!(stdout.version(), Some("0.2.6"));
    assert_eq!(info.imports[1].package(), None);
    assert_eq!(info.exports.len(), 1);
    assert!(info.exports_function("run") && !info.exports_function("running"));
    assert_eq!(info.contract_versions(), ["0.2.0"]);
    assert_eq!(info.wasi_versions(), ["0.2.6"]);
    assert_eq!(info.world(), Some(World::Workflow));
}

#[test]
fn what_is_in_it_is_counted_at_any_depth() {
    let info = read(GUEST);
    assert_eq!((info.modules, info.components, info.memories), (2, 1, 2));
    assert_eq!(info.memory_bytes, 18 << 16);
    assert_eq!(info.bytes, wasm(GUEST).len() as u64);
    assert!((12..40).contains(&info.data_bytes), "{}", info.data_bytes);
    assert!((2..10).contains(&info.code_bytes), "{}", info.code_bytes);
    assert!(info.custom_bytes > 20, "{}", info.custom_bytes);
    let shown = |list: &[Producer]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown(&info.languages), ["Rust 2024", "C"]);
    assert_eq!(shown(&info.tools), ["rustc 1.95.0"]);
}

/// A component that exports these functions, lifted as async or not.
fn exporting(imports: &str, exports: &[&str], lift: &str) -> ComponentInfo {
    let exports = exports.iter().map(|name| match name.strip_prefix("type ") {
        Some(name) => format!(r#"(type $t string) (export "{name}" (type $t))"#),
        None => format!(r#"(export "{name}" (func $f))"#),
    });
    let exports: String = exports.collect();
    read(&format!(
        r#"(component {imports}
            (core module $m (func (export "f")) (func (export "a") (result i32) unreachable)
                (func (export "c") (param i32 i32 i32) (result i32) unreachable))
            (core instance $m (instantiate $m))
            {lift} {exports})"#
    ))
}

#[test]
fn the_world_is_told_by_exports_and_imports() {
    const SYNC: &str = r#"(func $f (canon lift (core func $m "f")))"#;
    const ASYNC: &str = r#"(type $ft (func async)) (func $f (type $ft) (canon lift (core func $m "a") async (callback (func $m "c"))))"#;
    let import = |name: &str| format!(r#"(import "rusty-genius:genius/{name}@0.2.0" (instance))"#);
    for (import, exports, lift, world) in [
        (import("cortex"), &["run"][..], SYNC, Some(World::Workflow)),
        (
            import("cortex-blocking"),
            &["run"],
            SYNC,
            Some(World::WorkflowBlocking),
        ),
        (
            import("tools-blocking"),
            &["run"],
            SYNC,
            Some(World::WorkflowBlocking),
        ),
        (
            import("journal"),
            &["run"],
            SYNC,
            Some(World::WorkflowBlocking),
        ),
        (import("journal"), &["run"], ASYNC, Some(World::Workflow)),
        (
            import("cortex"),
            &["run-case"],
            ASYNC,
            Some(World::Scenario),
        ),
        (
            import("cortex-blocking"),
            &["run-case"],
            SYNC,
            Some(World::ScenarioBlocking),
        ),
        (
            String::new(),
            &["configure", "decide"],
            SYNC,
            Some(World::Policy),
        ),
        (
            String::new(),
            &["describe", "call"],
            ASYNC,
            Some(World::Tool),
        ),
        (
            String::new(),
            &["call", "describe"],
            SYNC,
            Some(World::ToolBlocking),
        ),
        (String::new(), &["decide"], SYNC, None),
        (String::new(), &["type run"], SYNC, None),
        (String::new(), &[], SYNC, None),
    ] {
        let info = exporting(&import, exports, lift);
        assert_eq!(info.world(), world, "{import} {exports:?} {lift}");
    }
}

#[test]
fn what_is_no_component_is_told_apart() {
    for (bytes, why) in [
        (&b""[..], "empty"),
        (b"hello world, this is text", "not WebAssembly"),
        (b"\0asm\x01\0\0\0", "core WebAssembly module"),
        (b"\0asm\x07\0\x01\0", "version"),
        (b"\0asm\x0d\0", "truncated"),
        (b"\n (component)", "text form"),
        (b"\x1b[31m\xff", "not WebAssembly"),
        (b"\0asm\x0d\0\x01\0\x4d\x00", "a kind that there is not"),
        (
            b"\0asm\x0d\0\x01\0\x04\x08\0asm\x01\0\0\0",
            "a core module where",
        ),
        (
            b"\0asm\x0d\0\x01\0\x01\x08\0asm\x0d\0\x01\0",
            "a component where",
        ),
    ] {
        let error = ComponentInfo::read(bytes).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert!(!error.to_string().contains('\x1b'), "{error:?}");
        assert!(!error.hint().is_empty());
    }
}

#[test]
fn a_component_cut_anywhere_but_between_sections_is_an_error() {
    let bytes = wasm(GUEST);
    let whole = ComponentInfo::read(&bytes).unwrap();
    let mut read = 0;
    for cut in 1..bytes.len() {
        match ComponentInfo::read(&bytes[..cut]) {
            Ok(info) => {
                read += 1;
                assert!(whole.imports.starts_with(&info.imports));
            }
            Err(ComponentError::Truncated { at, size }) => {
                assert!(at as usize <= cut && size as usize == cut, "{cut}: {at}");
            }
            Err(e) => panic!("{cut}: {e}"),
        }
    }
    // One for each section.
    assert!(read < 20, "{read}");
}

/// A section of a component.
fn section(id: u8, content: &[u8]) -> Vec<u8> {
    let mut section = vec![id];
    let mut length = content.len();
    while length > 127 {
        section.push((length & 127) as u8 | 128);
        length >>= 7;
    }
    section.push(length as u8);
    section.extend(content);
    section
}

fn nested(depth: usize) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    for _ in 1..depth {
        let inner = section(4, &bytes);
        bytes.truncate(8);
        bytes.extend(inner);
    }
    bytes
}

#[test]
fn components_nest_so_deep_and_no_deeper() {
    let info = ComponentInfo::read(&nested(DEPTH_LIMIT)).unwrap();
    assert_eq!(info.components, DEPTH_LIMIT as u64 - 1);
    let error = ComponentInfo::read(&nested(DEPTH_LIMIT + 1)).unwrap_err();
    assert!(matches!(error, ComponentError::TooDeep { .. }), "{error}");
    assert!(ComponentInfo::read(&nested(5000)).is_err());
}

/// A component with so many imports of types.
fn importing(count: usize, name: &str) -> Vec<u8> {
    let mut content = Vec::new();
    for _ in 0..count {
        content.push(0);
        content.push(name.len() as u8);
        content.extend(name.as_bytes());
        content.extend([3, 1]);
    }
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    for part in content.chunks(content.len() / count.max(1) * 100) {
        let number = (part.len() / (content.len() / count.max(1))) as u8;
        bytes.extend(section(10, &[&[number][..], part].concat()));
    }
    bytes
}

#[test]
fn there_are_so_many_imports_and_no_more() {
    let info = ComponentInfo::read(&importing(NAMES_LIMIT, "x")).unwrap();
    assert_eq!(info.imports.len(), NAMES_LIMIT);
    let error = ComponentInfo::read(&importing(NAMES_LIMIT + 1, "x")).unwrap_err();
    assert_eq!(
        error.to_string().split_once(": ").unwrap().1,
        "over 4096 imports"
    );
}

#[test]
fn names_are_cut_and_shown_not_obeyed() {
    let info = ComponentInfo::read(&importing(1, "a\x1b[2J\u{202e}")).unwrap();
    assert_eq!(info.imports[0].name, "a\\u{1b}[2J\\u{202e}");
    let long = format!(
        r#"(component (core module (@producers (language "{}" ""))))"#,
        "x".repeat(NAME_LIMIT + 1)
    );
    assert_eq!(
        read(&long).languages[0].name,
        format!("{}…", "x".repeat(NAME_LIMIT))
    );
}

#[test]
fn memory_that_cannot_be_counted_is_all_there_is() {
    let info = read("(component (core module (memory i64 0xffffffffffff) (memory 1)))");
    assert_eq!((info.memories, info.memory_bytes), (2, u64::MAX));
}

#[test]
fn broken_notes_of_toolchains_are_left_out() {
    let notes = |content: &[u8]| {
        let custom = section(0, &[b"\x09producers", content].concat());
        ComponentInfo::read(&[b"\0asm\x0d\0\x01\0", &*custom].concat()).unwrap()
    };
    assert_eq!(notes(b"").languages, []);
    assert_eq!(notes(b"\xff\xff\xff\xff\x0f").languages, []);
    let info = notes(b"\x02\x08language\x01\x01C\x00\x03odd\x00");
    assert_eq!(info.languages.len(), 1);
    let many: Vec<u8> = (0..200)
        .flat_map(|i| [1, b'a' + i / 26, 1, b'a' + i % 26])
        .collect();
    let info = notes(&[b"\x01\x08language\xc8\x01", &*many].concat());
    assert_eq!(info.languages.len(), PRODUCERS_LIMIT);
}

#[test]
fn every_import_has_a_meaning() {
    for (name, meaning) in [
        ("rusty-genius:genius/cortex@0.2.0", "asks models"),
        ("rusty-genius:genius/brainstem@0.2.0", "only policies"),
        ("rusty-genius:genius/door@0.2.0", "does not have"),
        ("wasi:filesystem/types@0.2.6", "directories it is granted"),
        ("wasi:cli/environment@0.2.0", "arguments"),
        ("wasi:cli/terminal-stdin@0.2.0", "terminal"),
        ("wasi:clocks/wall-clock", "time of day"),
        ("wasi:sockets/tcp@0.2.6", "never granted"),
        ("wasi:http/outgoing-handler@0.2.6", "never granted"),
        ("wasi:nn/graph@0.2.0", "part of WASI"),
        ("acme:door/key", "does not know"),
        ("open-sesame", "bare function"),
    ] {
        assert!(explain(name).contains(meaning), "{name}: {}", explain(name));
    }
    let info = read(GUEST);
    assert!(info.imports[1].explain().contains("type"));
}

/// The interfaces of the contract, from its WIT.
#[test]
fn every_interface_of_the_contract_is_explained() {
    let folder = std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap();
    let mut interfaces = 0;
    for path in folder.map(|entry| entry.unwrap().path()) {
        if path.extension().is_some_and(|extension| extension == "wit") {
            let text = std::fs::read_to_string(path).unwrap();
            for line in text
                .lines()
                .filter_map(|line| line.strip_prefix("interface "))
            {
                let name = format!("rusty-genius:genius/{}", line.trim_end_matches(" {"));
                assert!(!explain(&name).contains("does not have"), "{name}");
                interfaces += 1;
            }
        }
    }
    assert!(interfaces >= 8, "{interfaces}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = ComponentInfo::read(&bytes);
        let _ = ComponentInfo::read(&[b"\0asm\x0d\0\x01\0", &*bytes].concat());
    }

    #[test]
    fn a_component_hit_anywhere_is_read_or_refused(hits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5), cut in any::<prop::sample::Index>()) {
        let mut bytes = wasm(GUEST);
        for (at, byte) in hits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = ComponentInfo::read(&bytes[..cut.index(bytes.len())]);
        if let Ok(info) = ComponentInfo::read(&bytes) {
            prop_assert!(info.code_bytes + info.data_bytes + info.custom_bytes <= info.bytes);
            for named in info.imports.iter().chain(&info.exports) {
                prop_assert!(named.name.chars().count() <= NAME_LIMIT + 1);
            }
        }
    }
}

fn instances(text: &str) -> Result<u64, ComponentError> {
    let bytes = wat::parse_str(text).unwrap();
    ComponentInfo::read(&bytes).map(|info| info.instances)
}

/// Each component makes two of the one before it; the first one module's instance.
fn doubling(times: usize) -> String {
    let mut text = "(component (core module $m)
        (component $c0 (core instance (instantiate $m)))"
        .to_owned();
    for n in 1..=times {
        let before = n - 1;
        text += &format!(
            "(component $c{n} (alias outer 1 $c{before} (component $c))
                (instance (instantiate $c)) (instance (instantiate $c)))"
        );
    }
    text + &format!("(instance (instantiate $c{times})))")
}

#[test]
fn instances_are_counted_each_time_they_come_into_being() {
    assert_eq!(instances("(component)"), Ok(0));
    assert_eq!(
        instances("(component (core module $m) (core instance (instantiate $m)))"),
        Ok(1)
    );
    // One of the first makes two instances: itself, and its module's.
    assert_eq!(instances(&doubling(0)), Ok(2));
    assert_eq!(instances(&doubling(1)), Ok(5));
    assert_eq!(instances(&doubling(20)), Ok(3 * (1 << 20) - 1));
    assert_eq!(instances(&doubling(1000)), Ok(u64::MAX));
    // What is not instantiated makes none.
    assert_eq!(instances("(component (component (core module)))"), Ok(0));
}

#[test]
fn a_component_that_instantiates_what_it_is_given_is_refused() {
    for text in [
        "(component (import \"c\" (component $c)) (instance (instantiate $c)))",
        "(component (component $o (component $i) (export \"i\" (component $i)))
            (instance $o (instantiate $o))
            (alias export $o \"i\" (component $i))
            (instance (instantiate $i)))",
    ] {
        let error = instances(text).unwrap_err();
        assert!(
            matches!(error, ComponentError::HigherOrder { .. }),
            "{error}"
        );
    }
    assert_eq!(
        instances("(component (import \"c\" (component $c)))"),
        Ok(0)
    );
}
