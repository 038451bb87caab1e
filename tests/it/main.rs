//! Tests of the whole product. One binary, a module a subject.

mod tidy;
