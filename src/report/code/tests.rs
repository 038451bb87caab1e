//! The codes and their pages.

use super::Code;

#[test]
fn every_page_says_what_happened_what_it_means_and_what_to_do() {
    for code in Code::ALL {
        let page = code.page();
        let title = format!("# {code}: ");
        assert!(
            page.starts_with(&title),
            "{code}: its page begins with {title}"
        );
        assert!(
            !code.title().is_empty() && !code.title().ends_with('.'),
            "{code}: {}",
            code.title()
        );
        let headings: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("## "))
            .collect();
        assert_eq!(
            headings,
            ["## What happened", "## What it means", "## What to do"],
            "{code}"
        );
        for line in page.lines() {
            assert!(
                line.chars().count() <= 140,
                "{code}: a line is too long for a terminal: {line}"
            );
        }
    }
}

#[test]
fn a_code_is_found_however_it_is_spelled() {
    for text in ["E0104", "e0104", "0104", "104", " E104 "] {
        assert_eq!(text.parse(), Ok(Code::E0104), "{text}");
    }
    for text in ["", "E", "E9999", "E01040", "port", "-104"] {
        assert!(text.parse::<Code>().is_err(), "{text}");
    }
}

#[test]
fn codes_are_in_order_and_used_once() {
    assert!(
        Code::ALL
            .windows(2)
            .all(|pair| pair[0].name() < pair[1].name())
    );
}
