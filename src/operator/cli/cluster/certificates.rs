//! `chrysalis cluster certificates` and `rotate-certificates`: the files by which the servers of a cluster know each other.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::appliance::control::{Request, Response};
use crate::authority::{self, Authority, Certificate, Certificates as Held};
use crate::config::{self, Config, ServerFolder};
use crate::operator::cli::place::{self, FolderArgument};
use crate::operator::cli::{config_error, server};
use crate::report::{Code, Error};

/// Make, take over or show what the servers of a cluster show each other
///
/// With `cluster.certificates` the servers speak TLS among themselves, and each shows a certificate that the cluster's own authority
/// has issued. One host makes the authority. A folder with copies of its authority.pem and authority.key is brought to each other
/// host, and destroyed when that has its own. Without an option it shows what is there.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis cluster certificates --make-authority --folder /srv/server1\n  \
    chrysalis cluster certificates --from /srv/copy --folder /srv/server2\n  \
    chrysalis cluster certificates --folder /srv/server2")]
pub(super) struct Certificates {
    #[command(flatten)]
    folder: FolderArgument,
    /// Make the cluster's authority and this server's certificate: on one host, once
    #[arg(long, conflicts_with = "from")]
    make_authority: bool,
    /// Take the authority over from this folder, and make this server's certificate
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Leave the authority's key where it is: this server will not renew its certificate by itself
    #[arg(long, requires = "from")]
    without_key: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Certificates {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let folder = self.folder.server_folder()?;
        let (config, place) = configured(&folder)?;
        let failed = |error| failed("make this server's certificate", error, &folder);
        let issued = match &self.from {
            Some(from) if self.without_key => Authority::open(from)
                .and_then(|authority| authority::trust(from, &place).map(|()| authority)),
            Some(from) => Authority::copy(from, &place).and_then(|()| Authority::open(&place)),
            None if self.make_authority => Authority::make(&place),
            None => return show(&config, &place, &folder, self.json, out),
        };
        let issued = issued.and_then(|authority| authority.issue(config.id, &place));
        issued.map_err(failed)?;
        show(&config, &place, &folder, self.json, out)?;
        match self.json {
            true => Ok(()),
            false => used_from(&folder, out),
        }
    }
}

/// Give this server a new certificate, also while it runs
///
/// The authority's key has to be in the server's folder of certificates. Connections that are open stay; the next ones show the new
/// certificate. A server that has the key does this by itself when a third of its certificate's life is left.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  \
    chrysalis cluster rotate-certificates --folder /srv/server1")]
pub(super) struct RotateCertificates {
    #[command(flatten)]
    folder: FolderArgument,
}

impl RotateCertificates {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let folder = self.folder.server_folder()?;
        let (config, place) = configured(&folder)?;
        let issued = Authority::open(&place)
            .and_then(|authority| authority.issue(config.id, &place))
            .map_err(|error| failed("make a new certificate", error, &folder))?;
        let until = authority::day(issued.ends());
        writeln!(
            out,
            "server {} has a new certificate, valid until {until}",
            config.id
        )?;
        used_from(&folder, out)
    }
}

/// The configuration, and the folder of certificates in it.
fn configured(folder: &ServerFolder) -> Result<(Config, PathBuf), Error> {
    let config = config::load(folder).map_err(config_error)?;
    match config.certificates.clone() {
        Some(place) => Ok((config, place)),
        None => Err(Error::new(
            Code::E0308,
            "cluster.certificates is empty: this server shows no certificate",
        )
        .means("Nothing was changed.")
        .cure("Name a folder for them first, below [cluster] in conf/server.toml: certificates = \"conf/certificates\"")),
    }
}

fn failed(what: &str, error: authority::Error, folder: &ServerFolder) -> Error {
    let code = match error.is_permission() {
        true => Code::E0103,
        false => Code::E0113,
    };
    let cure = error.cure(&place::flag(folder));
    Error::new(code, what)
        .because(error)
        .means("The server goes on with what it has.")
        .cure(cure)
}

/// Has a running server show what was made, and says from when on it is shown.
fn used_from(folder: &ServerFolder, out: &mut dyn Write) -> anyhow::Result<()> {
    if server::holder(folder)?.is_none() {
        return Ok(writeln!(out, "it is shown from the next start on")?);
    }
    match server::ask(folder, &Request::ClusterLoadCertificates) {
        Ok(Response::Done { text }) => Ok(writeln!(out, "{text}")?),
        Ok(_) => Err(server::not_an_answer().into()),
        Err(error) if error.code() == Code::E0306 => Ok(writeln!(
            out,
            "the server runs without TLS; it is shown from the next start on"
        )?),
        Err(error) => Err(error
            .means(
                "The new certificate is in the folder, and the server shows the one that it had.",
            )
            .cure(format!(
                "Restart it: chrysalis restart {}",
                place::flag(folder)
            ))
            .into()),
    }
}

/// What there is.
fn show(
    config: &Config,
    place: &Path,
    folder: &ServerFolder,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let held = Held::load(place, config.id)
        .map_err(|error| failed("use this server's certificates", error, folder))?;
    let own = held.own();
    let authorities = authority::trusted_in(place)
        .map_err(|error| failed("read the authority's certificates", error, folder))?;
    let day = |it: &Certificate| authority::day(it.ends());
    if json {
        let authority = |it: &Certificate| json!({"sha256": it.fingerprint(), "ends": day(it)});
        let text = json!({
            "server": config.id.0,
            "ends": day(&own),
            "sha256": own.fingerprint(),
            "authorities": authorities.iter().map(authority).collect::<Vec<_>>(),
            "has_authority_key": held.has_authority(),
        });
        return Ok(writeln!(out, "{text}")?);
    }
    for it in &authorities {
        let (ends, sha256) = (day(it), it.fingerprint());
        writeln!(out, "authority: valid until {ends}, SHA-256 {sha256}")?;
    }
    writeln!(out, "server {}: valid until {}", config.id, day(&own))?;
    let renewed = match held.has_authority() {
        true => "authority.key is here: the server renews its certificate by itself",
        false => "authority.key is not here: the certificate has to be renewed by hand",
    };
    Ok(writeln!(out, "{renewed}")?)
}
