use super::*;
use proptest::prelude::*;

mod hostile;
mod models;

/// A template of these specials, with `<s>` and `</s>` for beginning and end.
fn template(source: &str, specials: &[&str]) -> ChatTemplate {
    let specials: Vec<String> = specials.iter().map(|&text| text.into()).collect();
    ChatTemplate::new(Some(source), "<s>", "</s>", &specials).unwrap()
}

fn text(prompt: &Prompt) -> String {
    prompt.parts.iter().map(|part| &*part.text).collect()
}

/// What a template without a conversation prints.
fn printed(source: &str) -> String {
    text(&template(source, &[]).render(&[]).unwrap())
}

fn turn(role: Role, content: &str) -> Turn {
    Turn::new(role, content)
}

#[test]
fn no_template_is_chatml() {
    let specials = ["<|im_start|>", "<|im_end|>"].map(String::from);
    let chatml = ChatTemplate::new(None, "", "", &specials).unwrap();
    let prompt = chatml
        .render(&[
            turn(Role::System, "Be brief."),
            turn(Role::User, " Hi\n"),
            turn(Role::Assistant, "Ho"),
            turn(Role::Tool, "7"),
        ])
        .unwrap();
    assert_eq!(
        text(&prompt),
        "<|im_start|>system\nBe brief.<|im_end|>\n\
         <|im_start|>user\n Hi\n<|im_end|>\n\
         <|im_start|>assistant\nHo<|im_end|>\n\
         <|im_start|>tool\n7<|im_end|>\n\
         <|im_start|>assistant\n"
    );
    assert_eq!(prompt.parts.len(), 1);
    assert!(prompt.parts[0].special && !prompt.in_thought && !prompt.has_bos);
}

/// Each line: a template, and what Jinja makes of it.
#[test]
fn expressions_are_those_of_jinja() {
    for (source, expected) in [
        ("{{ 1 + 2 * 3 }}", "7"),
        ("{{ (1 + 2) * 3 - 4 - 5 }}", "0"),
        ("{{ 7 // 2 ~ 7 % 4 ~ -2 }}", "33-2"),
        ("{{ 2 ** 3 - -1 }}", "9"),
        ("{{ 1.5 + 1 }}", "2.5"),
        ("{{ 'a' ~ 1 + 1 ~ 'b' if false else 'no' }}", "no"),
        ("{{ 'a' ~ 'b' ~ 1 }}", "ab1"),
        ("{{ 'a' + 'b' + 'c' == 'abc' }}", "True"),
        ("{{ 'ab' * 3 }}", "ababab"),
        ("{{ none }}|{{ undefined_name }}|{{ true }}", "None||True"),
        ("{{ 'x' is string and 3 is not string }}", "True"),
        (
            "{{ x is defined }}{{ x is not defined and not false }}",
            "FalseTrue",
        ),
        ("{{ 'b' in 'abc' }}{{ 'b' not in ['a'] }}", "TrueTrue"),
        ("{{ 'b' is in ['a', 'b'] }}", "True"),
        ("{{ ([1, 2] + [3])[1:] | length }}", "2"),
        (
            "{{ 'abc'[::-1] }}{{ 'abc'[-1] }}{{ 'abc'[:2].upper() }}",
            "cbacAB",
        ),
        ("{{ {'a': {'b': 'c'}}.a['b'] }}", "c"),
        (
            "{{ {'a': 1, 'b': [true, none, 'ü<\"']} | tojson }}",
            "{\"a\": 1, \"b\": [true, null, \"ü<\\\"\"]}",
        ),
        (
            "{{ [1, {'a': []}] | tojson(indent=2) }}",
            "[\n  1,\n  {\n    \"a\": []\n  }\n]",
        ),
        ("{{ ' a b '.strip().split(' ') | join('+') }}", "a+b"),
        ("{{ 'aXbX' | replace('X', '--') | trim('-') }}", "a--b"),
        (
            "{{ 'a.b'.replace('.', '') ~ 'aaa'.count('a') ~ 'a'.count('') }}",
            "ab32",
        ),
        ("{{ 'a\nb' | indent }}", "a\n    b"),
        (
            "{% set ns = namespace(n=1) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}",
            "4",
        ),
        ("{% set a, b = 1, 2 %}{{ a ~ b }}", "12"),
        ("{% set x %}a{{ 1 }}{% endset %}{{ x * 2 }}", "a1a1"),
        (
            "{% for x in [1, 2, 3] if x > 1 %}{{ loop.index0 }}{{ x }}{% if loop.last %}.{% endif %}{% endfor %}",
            "0213.",
        ),
        (
            "{% for k, v in {'a': 1}.items() %}{{ k }}={{ v }}{% else %}none{% endfor %}",
            "a=1",
        ),
        (
            "{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}",
            "01",
        ),
        (
            "{% macro f(a, b='x') %}[{{ a ~ b }}]{% endmacro %}{{ f(1) }}{{ f(2, b=3) }}",
            "[1x][23]",
        ),
        ("{% if 0 %}a{% elif '' %}b{% else %}c{% endif %}", "c"),
        ("{% generation %}a{% endgeneration %}{# not this #}b", "ab"),
        (
            "{% raw %}{{ x }}{% endraw %}{{ '}}' }}{{ \"%}\\\"\" }}",
            "{{ x }}}}%}\"",
        ),
        ("{{ 'a\\nb' }}\\n\"", "a\nb\\n\""),
        ("{% filter upper %}a{% endfilter %}", "A"),
        ("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024"),
    ] {
        assert_eq!(printed(source), expected, "{source}");
    }
}

#[test]
fn tags_take_whitespace_as_with_trim_and_lstrip_blocks() {
    for (source, expected) in [
        ("a\n  {% if true %}\n  b\n  {% endif %}\nc\n", "a\n  b\nc"),
        ("a {% if true %} b {% endif %} c", "a  b  c"),
        ("a \n {%- if true -%} \n b {%- endif %}\n\nc", "ab\nc"),
        ("a\n  {{ 1 }}\nb", "a\n  1\nb"),
        ("a \n {{- 1 -}} \n b", "a1b"),
        ("a\n  {# x #}\nb {#- y -#} c", "a\nbc"),
        ("a\n  {%+ if true +%}\nb{% endif %}", "a\n  \nb"),
        ("a\r\n{% if true %}\r\nb{% endif %}", "a\nb"),
        ("a\n\n", "a\n"),
    ] {
        assert_eq!(printed(source), expected, "{source:?}");
    }
}

#[test]
fn what_does_not_parse_is_said_so_at_once() {
    for source in [
        "{% if %}",
        "{% if true %}",
        "{% endif %}",
        "{{ 1",
        "{{ (1 }}",
        "{{ (1] }}",
        "{{ 1) }}",
        "{{ 'a }}",
        "{{ 1 ? 2 }}",
        "{# a",
        "{% raw %}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
        "{% %}",
        "{{ f(*x) }}",
        "{{ rg_cat }}",
        "{{ ~ 1 }}",
    ] {
        let failed = ChatTemplate::new(Some(source), "", "", &[]);
        let said = failed.err().unwrap_or_else(|| panic!("{source} parses"));
        assert!(
            said.starts_with("the chat template does not parse"),
            "{said}"
        );
    }
    let long = " ".repeat(SOURCE_BYTES_LIMIT + 1);
    let said = ChatTemplate::new(Some(&long), "", "", &[]).err().unwrap();
    assert!(said.contains("262145 bytes, the limit is 262144"), "{said}");
}

#[test]
fn an_exception_says_what_the_template_said() {
    let refuses = template(
        "{{ raise_exception('No ' ~ messages[0].role ~ 's here') }}",
        &[],
    );
    let said = refuses.render(&[Turn::user("x")]).unwrap_err();
    assert_eq!(said, "the chat template says: No users here");
}

#[test]
fn a_thought_is_open_where_the_template_opens_one() {
    let opens = "{{ messages[0].content }}<|im_start|>assistant\n<think>\n";
    let user = [Turn::user("hi")];
    assert!(template(opens, &[]).render(&user).unwrap().in_thought);
    assert!(
        template(opens, &["<think>"])
            .render(&user)
            .unwrap()
            .in_thought
    );
    let closes = format!("{opens}\n</think>\n\n");
    assert!(!template(&closes, &[]).render(&user).unwrap().in_thought);
    let only_content = template("{{ messages[0].content }}\n", &[]);
    let user = [Turn::user("say <think>")];
    assert!(!only_content.render(&user).unwrap().in_thought);
}

#[test]
fn a_bos_in_the_text_is_noticed() {
    let user = [Turn::user("<s>hi")];
    assert!(
        template("{{ bos_token }}{{ messages[0].content }}", &["<s>"])
            .render(&user)
            .unwrap()
            .has_bos
    );
    // Here it is the user's, and no token.
    assert!(
        !template("{{ messages[0].content }}", &["<s>"])
            .render(&user)
            .unwrap()
            .has_bos
    );
}

/// Texts made of special texts, their halves, and what else is awkward.
fn awkward() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "<|im_start|>",
        "<|im_end|>",
        "<|im_",
        "end|>",
        "<",
        ">",
        "|",
        "</s>",
        "<s>",
        "/s>",
        "</",
        "[INST]",
        "[INST",
        "]",
        "\u{E000}",
        "\u{E001}",
        "\u{F0000}",
        "\0",
        "\u{202e}",
        " ",
        "\n",
        "a",
        "ü",
        "<think>",
        "{{",
        "%}",
    ]);
    prop::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Through a template that trims, the special parts hold exactly the template's own
    /// special texts, and nothing of the content is lost.
    #[test]
    fn no_content_spells_a_special_text(contents in prop::collection::vec(awkward(), 1..4)) {
        let specials = ["<|im_start|>", "<|im_end|>", "<s>", "</s>", "[INST]"];
        let source = "{% for m in messages %}<|im_start|>{{ m.content | trim }}<|im_end|>{% endfor %}";
        let turns: Vec<Turn> = contents.iter().map(Turn::user).collect();
        let prompt = template(source, &specials).render(&turns).unwrap();
        let special: Vec<&str> = prompt.parts.iter().filter(|p| p.special).map(|p| &*p.text).collect();
        let count = |text: &str| special.iter().map(|part| part.matches(text).count()).sum::<usize>();
        prop_assert_eq!(count("<|im_start|>"), turns.len());
        prop_assert_eq!(count("<|im_end|>"), turns.len());
        prop_assert_eq!(count("<s>") + count("</s>") + count("[INST]"), 0);
        let expected: String = contents.iter().map(|c| format!("<|im_start|>{}<|im_end|>", c.trim())).collect();
        prop_assert_eq!(text(&prompt), expected);
        prop_assert!(prompt.parts.iter().all(|part| !part.text.is_empty()));
        prop_assert!(prompt.parts.windows(2).all(|two| two[0].special != two[1].special));
    }

    #[test]
    fn any_template_ends_without_panic(pieces in prop::collection::vec(prop::sample::select(vec![
        "{{", "}}", "{%", "%}", "{#", "#}", "-", "+", "~", "*", "(", ")", "[", "]", "{", "}", "|", ".",
        "'", "\"", "\\", "if", "for", "x", "in", "messages", "set", "=", "endif", "endfor", "endset",
        "raw", "endraw", "1", "ü", "\n", " ", ",", ":", "is", "not", "macro", "upper", "loop",
    ]), 0..24)) {
        let source = pieces.concat();
        if let Ok(template) = ChatTemplate::new(Some(&source), "", "", &[]) {
            let _ = template.render(&[Turn::user("x")]);
        }
    }
}
