//! Examinations for programs. A field never changes its meaning; docs/operating.md describes them.

use serde_json::{Value, json};

use super::examination::Examination;

/// One object for all servers that were examined.
pub fn as_json(examinations: &[Examination]) -> Value {
    let servers: Vec<Value> = examinations.iter().map(server).collect();
    json!({ "servers": servers })
}

fn server(examination: &Examination) -> Value {
    let findings: Vec<Value> = examination
        .found
        .iter()
        .map(|found| {
            json!({
                "name": found.check.name,
                "severity": found.check.severity,
                "what": found.finding.what,
                "evidence": found.finding.evidence,
                "cures": found.finding.cures,
            })
        })
        .collect();
    let not_done: Vec<Value> = examination
        .not_done
        .iter()
        .map(|(check, why)| json!({ "name": check.name, "why": why }))
        .collect();
    json!({
        "name": examination.folder.name(),
        "folder": examination.folder.root().display().to_string(),
        "worst": examination.worst(),
        "findings": findings,
        "checks_done": examination.done,
        "not_done": not_done,
    })
}
