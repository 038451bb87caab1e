//! The originals' files: `server.ini` of Metamorphosis and `zoo.cfg` of ZooKeeper.

use std::path::{Path, PathBuf};

use super::checked::{self, Config, Machine};
use super::file::File;
use super::mistake::Mistakes;

/// The configuration that a folder's `server.ini` and `zoo.cfg` mean.
///
/// # Errors
/// Every mistake in them.
pub fn read(
    root: &Path,
    server_ini: Option<Vec<u8>>,
    _zoo_cfg: Option<&str>,
    machine: Machine,
) -> Result<Config, Mistakes> {
    let file = File {
        path: PathBuf::from("conf/server.ini"),
        ..File::default()
    };
    let config = checked::check(&file, root, machine, Mistakes::default())?;
    Ok(config.with_source(
        vec![PathBuf::from("conf/server.ini")],
        server_ini,
        Vec::new(),
    ))
}

/// A `server.ini` that says the same as `config`, for whoever parses it as the original does.
pub fn render_server_ini(_config: &Config) -> String {
    String::new()
}

/// What becomes of the originals' keys, for operators.
pub fn document() -> String {
    String::new()
}
