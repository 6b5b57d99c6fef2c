//! Templates that mean harm: each must end soon, with an error.

use super::*;

fn fails(source: &str) -> String {
    let user = [Turn::user("hello <|im_end|> there")];
    match ChatTemplate::new(Some(source), "", "", &["<|im_end|>".into()]) {
        Err(said) => said,
        Ok(template) => match template.render(&user) {
            Err(said) => said,
            Ok(prompt) => panic!("{source} gives {} parts", prompt.parts.len()),
        },
    }
}

#[test]
fn loops_end() {
    let nested = "{% for i in range(10000) %}{% for j in range(10000) %}{% for k in range(10000) %}{% endfor %}{% endfor %}{% endfor %}";
    assert!(fails(nested).contains("fuel"), "{}", fails(nested));
    fails("{% for i in range(10**9) %}x{% endfor %}");
    fails("{% for i in range(10**30) %}x{% endfor %}");
    fails("{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}");
    fails("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}");
    fails("{% macro f(x) %}{{ f([x]) }}{% endmacro %}{{ f([]) }}");
    fails("{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}");
}

#[test]
fn text_does_not_grow_without_end() {
    for source in [
        "{{ 'a' * 10**9 }}",
        "{{ ('a' * 10**6) * 10**6 }}",
        "{{ 10**9 * 'a' }}",
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] | join %}{% endfor %}",
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x.replace('a', 'aa') %}{% endfor %}",
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x | replace('', ns.x) %}{% endfor %}",
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x.join([ns.x, ns.x]) %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set b %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = b %}{% endfor %}",
        "{% macro f(x, n) %}{{ f(x ~ x, n + 1) }}{% endmacro %}{{ f('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 0) }}",
        "{% for i in range(90000) %}{{ 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' }}{% endfor %}",
        "{{ 'a\na' | indent(10**12) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ [[[[1]]]] | tojson(indent=10**12) ~ 'a' * 10**9 }}",
        "{{ 9223372036854775807 * 'ab' }}",
    ] {
        fails(source);
    }
    let doubled = format!("{{% set x = 'a' %}}{}", "{% set x = x ~ x %}".repeat(60));
    assert!(fails(&doubled).contains("more text than it may"));
    let raw = "a".repeat(100_000);
    let captured = format!(
        "{{% set ns = namespace(n='') %}}{{% set x %}}{{% for i in range(90000) %}}{raw}{{% endfor %}}{{% endset %}}"
    );
    assert!(fails(&captured).contains("more text than it may"));
}

#[test]
fn nesting_does_not_use_up_the_stack() {
    let deep = |open: &str, inside: &str, close: &str, times: usize| {
        format!("{}{inside}{}", open.repeat(times), close.repeat(times))
    };
    for times in [300, 20_000] {
        for (open, close) in [
            ("(", ")"),
            ("[", "]"),
            ("{'a':", "}"),
            ("x[", "]"),
            ("f(", ")"),
        ] {
            fails(&format!("{{{{ {} }}}}", deep(open, "1", close, times)));
        }
        for (open, close) in [
            ("- ", ""),
            ("not ", ""),
            ("1 + ", ""),
            ("'a' ~ ", ""),
            ("2 ** ", ""),
            ("1 - ", ""),
        ] {
            fails(&format!("{{{{ {} }}}}", deep(open, "'x'", close, times)));
        }
        fails(&format!("{{{{ 1{} }}}}", "|string|int".repeat(times)));
        fails(&format!("{{{{ x{} }}}}", ".y".repeat(times)));
        fails(&deep("{% if 1 %}", "x", "{% endif %}", times));
        fails(&format!(
            "{{% if 1 %}}{}{{% endif %}}",
            "{% elif 1 %}".repeat(times)
        ));
    }
    fails(
        "{% set ns = namespace(x=[]) %}{% for i in range(20000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
    );
    fails(
        "{% set ns = namespace(x=[]) %}{% for i in range(20000) %}{% set ns.x = (ns.x, 1) %}{% endfor %}{{ ns.x }}",
    );
    fails(
        "{% set ns = namespace(x={}) %}{% for i in range(20000) %}{% set ns.x = {'a': ns.x} %}{% endfor %}{{ ns.x }}",
    );
    // Lists that are computed when they are looked at are made lists at once.
    let slices = "{% set ns = namespace(x=[1, 2]) %}{% for i in range(3000) %}{% set ns.x = ns.x[0:] %}{% endfor %}{{ ns.x | length }}";
    assert_eq!(printed(slices), "2");
}

#[test]
fn an_object_cannot_hold_itself() {
    for source in [
        "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
        "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns }}",
        "{% set ns = namespace() %}{% set other = namespace(x=ns) %}{{ other }}",
        "{% set ns = namespace() %}{{ [ns] | tojson }}",
        "{% macro m() %}{% endmacro %}{% set ns = namespace() %}{% set ns.x = {'m': m} %}{{ ns }}",
    ] {
        fails(source);
    }
}

#[test]
fn there_is_nothing_but_the_conversation_to_reach() {
    for source in [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.__class__.__base__ }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ debug() }}",
        "{{ dict(a=1) }}",
        "{{ namespace.__globals__['x'] }}",
        "{{ open('/etc/passwd') }}",
        "{{ strftime_now('%Q') }}",
        "{{ strftime_now(%) }}",
        "{{ messages | attr('x') | attr('y') | nothing }}",
        "{{ 1 // 0 }}",
        "{{ 'a' + 1 }}",
        "{{ messages[0].content.nothing() }}",
    ] {
        fails(source);
    }
}

#[test]
fn counting_nothing_ends() {
    assert_eq!(printed("{{ 'aa'.count('') }}"), "3");
}
