use serde_json::json;

use super::*;

/// What a template makes of the document of a container.
fn render(template: &str) -> Result<String, TemplateError> {
    let value = json!({
        "Id": "abc", "Name": "/web",
        "State": { "Status": "exited", "Code": 3, "Running": false, "Health": null },
        "Cmd": ["sh", "-c", "x y"],
        "Labels": { "com.example.b": "2", "com.example.a": "1" },
        "Load": 1.5, "Huge": 1e21,
        "Ports": {
            "443/tcp": null,
            "80/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "8080" }],
        },
        "Networks": { "front": { "IPAddress": "10.0.0.2" }, "back": { "IPAddress": "10.1.0.2" } },
    });
    template.parse::<Template>()?.render(&value)
}

#[track_caller]
fn assert_renders(template: &str, expected: &str) {
    assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
}

#[test]
fn fields_and_text_alternate() {
    assert_renders("{{.Id}} {{ .State.Status }}!", "abc exited!");
    assert_renders("no action", "no action");
    assert_renders("{{.Id}}\\n", "abc\\n");
}

#[test]
fn values_print_as_go_prints_them() {
    assert_renders("{{.Cmd}} {{.State.Code}} {{.State.Running}}", "[sh -c x y] 3 false");
    assert_renders("{{.Labels}}", "map[com.example.a:1 com.example.b:2]");
    assert_renders("{{.Load}} {{.Huge}}", "1.5 1e+21");
}

#[test]
fn what_is_absent_has_no_value() {
    assert_renders(
        "{{.Nope}} {{.State.Nope.Deeper}} {{.State.Health}}",
        &["<no value>"; 3].join(" "),
    );
    assert_renders("{{if .Nope}}a{{else}}b{{end}}", "b");
    assert_renders("{{with .State.Health}}{{.Status}}{{end}}", "");
    assert_renders("{{json .Nope}} {{len .Nope}}", "null 0");
}

#[test]
fn ranges_go_through_lists_and_maps_in_order() {
    assert_renders("{{range .Networks}}{{.IPAddress}} {{end}}", "10.1.0.2 10.0.0.2 ");
    assert_renders(
        "{{range $name, $net := .Networks}}{{$name}}={{$net.IPAddress}};{{end}}",
        "back=10.1.0.2;front=10.0.0.2;",
    );
    assert_renders("{{range $i, $word := .Cmd}}{{if $i}},{{end}}{{$word}}{{end}}", "sh,-c,x y");
    assert_renders("{{range .Nope}}x{{else}}none{{end}}", "none");
    assert_renders("{{range .Cmd}}{{if eq . \"-c\"}}{{break}}{{end}}{{.}}{{end}}", "sh");
    assert_renders("{{range .Cmd}}{{if eq . \"-c\"}}{{continue}}{{end}}{{.}}{{end}}", "shx y");
    assert_renders("{{range .Cmd}}{{$.Id}}{{end}}", "abcabcabc");
}

#[test]
fn published_ports_are_found_as_dockers_documentation_shows() {
    assert_renders("{{(index (index .Ports \"80/tcp\") 0).HostPort}}", "8080");
    assert_renders(
        "{{range $p, $conf := .Ports}} {{$p}} -> {{with $conf}}{{(index . 0).HostPort}}{{end}} {{end}}",
        " 443/tcp ->   80/tcp -> 8080 ",
    );
}

#[test]
fn index_gives_something_empty_where_there_is_nothing() {
    assert_renders("{{index .Labels \"com.example.a\"}}", "1");
    assert_renders("[{{index .Labels \"nope\"}}]", "[]");
    assert_renders("{{index .Cmd 2}}", "x y");
    assert!(matches!(render("{{index .Cmd 3}}"), Err(TemplateError::Function("index", _))));
    assert!(matches!(render("{{index .Cmd -1}}"), Err(TemplateError::Function("index", _))));
}

#[test]
fn conditions_are_chained() {
    let choice = "{{if .State.Running}}up{{else if eq .State.Code 3 4}}three{{else}}other{{end}}";
    assert_renders(choice, "three");
    assert_renders("{{if and .Id (not .State.Running)}}down{{end}}", "down");
    assert_renders("{{or .Nope .Name}} {{and .Id .Nope}}", "/web <no value>");
    assert_renders("{{if gt .State.Code 2}}a{{end}}{{if le (len .Cmd) 2}}b{{end}}", "a");
    assert_renders(
        "{{with $x := .Id}}{{$x}}{{end}}{{with .Nope}}{{else with .Name}}{{.}}{{end}}",
        "abc/web",
    );
    assert!(matches!(render("{{eq .Id 1}}"), Err(TemplateError::Function("a comparison", _))));
}

#[test]
fn functions_apply_to_arguments_and_to_what_is_piped() {
    assert_renders("{{json .Cmd}}", r#"["sh","-c","x y"]"#);
    assert_renders("{{join .Cmd \",\"}} {{len .Cmd}} {{.Cmd | len}}", "sh,-c,x y 3 3");
    assert_renders(
        "{{upper .Id}} {{.Id | upper | lower}} {{title \"two words\"}}",
        "ABC abc Two Words",
    );
    assert_renders("{{slice .Id 1}} {{slice .Id 0 2}} {{truncate .Name 3}}", "bc ab /we");
    assert_renders("{{range split \"a/b\" \"/\"}}<{{.}}>{{end}}", "<a><b>");
    assert_renders("{{pad .Id 1 2}}|", " abc  |");
    assert_renders("{{range .Cmd}}{{println .}}{{end}}", "sh\n-c\nx y\n");
    assert_renders("{{print .Id 1 2 \"x\"}}", "abc1 2x");
}

#[test]
fn formats_are_gos() {
    assert_renders("{{printf \"%s=%d %v\" .Id .State.Code .Cmd}}", "abc=3 [sh -c x y]");
    assert_renders("{{printf \"%-6s|%6s|%.2s|%q\" .Id .Id .Id .Id}}", "abc   |   abc|ab|\"abc\"");
    assert_renders(
        "{{printf \"%05d %+d %x %.2f %t%%\" 42 7 255 .Load true}}",
        "00042 +7 ff 1.50 true%",
    );
    assert_renders("{{.Id | printf \"%s-%s\" \"a\"}}", "a-abc");
    assert_renders("{{printf \"%d\" .Id}}", "%!d(string=abc)");
    assert_renders("{{printf \"%s\"}} {{printf \"x\" 1}}", "%!s(MISSING) x%!(EXTRA int=1)");
}

#[test]
fn spaces_are_trimmed_and_comments_left_out() {
    assert_renders("a {{- .Id -}} b", "aabcb");
    assert_renders("a{{/* not }} this */}}b {{- /* nor this */ -}} c", "abc");
    assert_renders("{{range .Cmd -}}\n {{.}}\n{{- end}}", "sh-cx y");
}

#[test]
fn variables_are_set_and_changed() {
    assert_renders("{{$x := .Id}}{{$x}}{{$x = .Name}}{{$x}}", "abc/web");
    assert_renders("{{$n := 0}}{{range .Cmd}}{{$n = .}}{{end}}{{$n}}", "x y");
    let gone = render("{{if .Id}}{{$x := 1}}{{end}}{{$x}}");
    assert_eq!(gone, Err(TemplateError::NoVariable("$x".to_owned())));
}

#[test]
fn quoted_texts_may_have_braces_and_escapes() {
    assert_renders("{{\"}}\"}}{{\"a\\tb\\\"\"}}{{`raw\\n`}}", "}}a\tb\"raw\\n");
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let unexpected = |word: &str| Err(TemplateError::Unexpected(word.to_owned()));
    let unsupported = |word: &str| Err(TemplateError::Unsupported(word.to_owned()));
    assert_eq!(render("{{.Id"), Err(TemplateError::Open));
    assert_eq!(render("{{\"x}}"), Err(TemplateError::OpenText('"')));
    assert_eq!(render("{{range .Cmd}}x"), Err(TemplateError::NoEnd("range".to_owned())));
    assert_eq!(render("{{end}}"), unexpected("end"));
    assert_eq!(render("{{else}}"), unexpected("else"));
    assert_eq!(render("{{nosuch .Id}}"), unsupported("nosuch"));
    assert_eq!(render("{{template \"x\"}}"), unsupported("template"));
    assert_eq!(render("{{}}"), unexpected("}}"));
    assert_eq!(render("{{.Id | }}"), unexpected("}}"));
    assert_eq!(render("{{(.Id}}"), unexpected("("));
    assert_eq!(render("{{break}}"), unsupported("break"));
    assert_eq!(
        render("{{.Id.Deeper}}"),
        Err(TemplateError::NoObject("Deeper".to_owned(), "abc".to_owned()))
    );
}

#[test]
fn depth_and_work_have_an_end() {
    let brackets = format!("{{{{{}.Id{}}}}}", "(".repeat(10_000), ")".repeat(10_000));
    assert_eq!(render(&brackets), Err(TemplateError::TooDeep));
    let blocks = "{{if .Id}}".repeat(10_000);
    assert_eq!(render(&blocks), Err(TemplateError::TooDeep));
    let chain = format!("{{{{if .Id}}}}{}", "{{else if .Id}}".repeat(10_000));
    assert_eq!(render(&chain), Err(TemplateError::TooDeep));
    let loops = "{{range $.Cmd}}".repeat(30) + &"{{end}}".repeat(30);
    assert_eq!(render(&loops), Err(TemplateError::TooLong));
}

#[test]
fn fields_of_rows_are_known() {
    let row = json!({ "ID": "abc" });
    let labels = json!({ "a": "x,y" });
    let labels = labels.as_object().unwrap();
    let render = |text: &str| Template::of_rows(text)?.render_row(&row, labels);
    assert_eq!(render("{{.ID}}\\t{{.Label \"a\"}}{{.Label \"b\"}}").as_deref(), Ok("abc\tx,y"));
    assert_eq!(render("{{.Nope}}"), Err(TemplateError::NoField("Nope".to_owned())));
}

#[test]
fn headings_are_those_of_the_columns() {
    let template = Template::of_rows("{{.ID}}\t{{upper .Other}}\t{{truncate .ID 3}}").unwrap();
    let headings = template.headings(&[("Container ID", "ID")]);
    assert_eq!(headings.as_deref(), Ok("Container ID\tOTHER\tContainer ID"));
}

proptest::proptest! {
    #[test]
    fn any_template_is_refused_or_filled_in(
        words in proptest::collection::vec(proptest::sample::select(vec![
            "{{", "}}", "{{-", "-}}", " ", ".", ".Cmd", "$x", "$", ":=", "=", ",", "range ", "if ",
            "with ", "else ", "end", "(", ")", "|", "\"a\"", "`", "\\", "0", "-1", "printf ",
            "\"%-9.9x\" ", "index ", "slice ", "é", "/*", "*/", "eq ", "break",
        ]), 0..40),
    ) {
        let _ = render(&words.concat());
    }
}
