use serde_json::{Map, Value, json};

use super::*;

fn template(name: &str) -> Template {
    let source = match name {
        "llama" => include_str!("../../../tests/templates/llama.jinja"),
        "gemma" => include_str!("../../../tests/templates/gemma.jinja"),
        "think" => include_str!("../../../tests/templates/think.jinja"),
        "odd" => include_str!("../../../tests/templates/odd.jinja"),
        "generation" => include_str!("../../../tests/templates/generation.jinja"),
        _ => unreachable!("renderings.json names a template this test does not include: {name}"),
    };
    Template::chat(source).unwrap()
}

fn context(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn render(source: &str, variables: &Value) -> Result<String, TemplateError> {
    Template::chat(source)?.render(&context(variables)).map(|o| o.text)
}

/// transformers' own renderings of the same templates, made by `tests/templates/make.py`.
#[test]
fn renders_byte_for_byte_what_transformers_renders() {
    let rows: Vec<Value> = serde_json::from_str(include_str!("../../../tests/templates/renderings.json")).unwrap();
    assert_eq!(rows.len(), 40);
    for row in rows {
        let name = row["template"].as_str().unwrap();
        let case = format!("{name}, {}, {}", row["conversation"], row["variables"]["add_generation_prompt"]);
        let rendered = template(name).render(&context(&row["variables"]));
        if let Some(reason) = row["refused"].as_str() {
            assert_eq!(rendered.unwrap_err().reason, reason, "{case}");
            continue;
        }
        let rendered = rendered.unwrap();
        assert_eq!(rendered.text, row["text"].as_str().unwrap(), "{case}");
        let ranges: Vec<Value> = rendered.generations.iter().map(|r| json!([r.start, r.end])).collect();
        assert_eq!(ranges, row["generations"].as_array().cloned().unwrap_or_default(), "{case}");
    }
}

#[test]
fn crlf_in_a_template_is_a_plain_line_break() {
    assert_eq!(render("{% if true %}\r\na\r\nb{% endif %}", &json!({})).unwrap(), "a\nb");
}

#[test]
fn a_project_template_refuses_to_print_what_is_missing_and_keeps_its_last_line_break() {
    let template = Template::fields("{{ question }}\n{% if hint %}({{ hint }})\n{% endif %}答え:\n").unwrap();
    assert_eq!(template.variables(), ["hint", "question"]);
    let text = template.render(&context(&json!({"question": "何?"}))).unwrap().text;
    assert_eq!(text, "何?\n答え:\n");
    let error = template.render(&context(&json!({"hint": "x"}))).unwrap_err();
    assert_eq!(error.line, Some(1), "{error}");
}

#[test]
fn errors_name_the_template_and_the_line() {
    let error = Template::chat("a\n{% if %}\n").unwrap_err();
    assert_eq!(error.line, Some(2));
    assert!(error.to_string().starts_with("the chat template, line 2: "), "{error}");
    let error = render("\n\n{{ raise_exception('no system turn') }}", &json!({})).unwrap_err();
    assert_eq!(error.to_string(), "the chat template, line 3: no system turn");
}

#[test]
fn a_hostile_template_is_stopped() {
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
    assert!(render(endless, &json!({})).unwrap_err().reason.contains("steps"));
    let deep = "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}";
    assert!(render(deep, &json!({})).unwrap_err().reason.contains("recursion"), "{:?}", render(deep, &json!({})));
    let wide = "{% for a in range(9999) %}{{ 'xxxxxxxxxx' * 9999 }}{% endfor %}";
    assert!(render(wide, &json!({})).unwrap_err().reason.contains("writes more than"));
    assert!(render("{% include '/etc/passwd' %}", &json!({})).is_err());
}

#[test]
fn the_date_stands_still_for_a_template() {
    let template = Template::chat("{{ strftime_now('%Y-%m-%d %H:%M:%S.%f') }}").unwrap();
    let first = template.render(&Map::new()).unwrap().text;
    assert_eq!(first.len(), "2026-11-22 10:00:00.".len() + first.rsplit('.').next().unwrap().len(), "{first}");
    std::thread::sleep(std::time::Duration::from_millis(3));
    assert_eq!(template.render(&Map::new()).unwrap().text, first);
    let error = render("{{ strftime_now('%!') }}", &json!({})).unwrap_err();
    assert!(error.reason.contains("strftime_now"), "{error}");
}

#[test]
fn marks_in_the_data_are_left_alone() {
    let messages =
        json!({"messages": [{"role": "assistant", "content": "a\u{FDD0}b"}], "add_generation_prompt": false});
    let output = template("generation").render(&context(&messages)).unwrap();
    assert!(output.text.contains("a\u{FDD0}b"), "{:?}", output.text);
    assert!(output.generations.is_empty());
}
