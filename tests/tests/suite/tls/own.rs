//! A certificate that the server made.

use rackhand_tests::Backend;
use std::{fs, os::unix::fs::PermissionsExt as _};

use super::bench::{presented, program, shake};

#[test]
fn openssl_and_curl_find_tls_1_3_with_a_certificate_that_stays() {
    let mut backend = Backend::configured("tls = \"self-signed\"\n");
    let cert = backend.folder().join("tls-self-signed.pem");
    let trusted =
        ["-CAfile", cert.to_str().unwrap(), "-verify_return_error", "-verify_hostname", "localhost"];
    let said = shake(backend.port(), &trusted);
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    assert!(text.contains("TLSv1.3") && text.contains("Verify return code: 0 (ok)"), "{text}");
    let stranger =
        ["-CAfile", cert.to_str().unwrap(), "-verify_return_error", "-verify_hostname", "b.example"];
    assert!(!shake(backend.port(), &stranger).status.success());
    let old = shake(backend.port(), &["-tls1_2"]);
    assert!(String::from_utf8_lossy(&old.stdout).contains("Protocol  : TLSv1.2"), "{old:?}");
    // A browser that is asked for a certificate asks its person.
    for said in [&said, &old] {
        let text = String::from_utf8_lossy(&said.stdout);
        let is_asked =
            text.contains("Requested Signature Algorithms") || text.contains("Client Certificate Types");
        assert!(text.contains("No client certificate CA names sent") && !is_asked, "{text}");
    }
    let older = shake(backend.port(), &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]);
    assert!(!older.status.success() && String::from_utf8_lossy(&older.stderr).contains("alert"), "{older:?}");
    let url = format!("https://localhost:{}/healthz", backend.port());
    let curl = program("curl").args(["-sS", "--tlsv1.3", "--cacert"]).arg(&cert).arg(url).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&curl.stdout), "ok\n", "{}", String::from_utf8_lossy(&curl.stderr));
    let key = fs::metadata(backend.folder().join("tls-self-signed.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    let first = presented(backend.port(), "localhost");
    backend.kill_and_restart();
    assert_eq!(presented(backend.port(), "localhost"), first);
}

#[test]
fn plain_http_on_the_tls_port_is_no_answer() {
    let backend = Backend::configured("tls = \"self-signed\"\n");
    let url = format!("http://127.0.0.1:{}/healthz", backend.port());
    let curl = program("curl").args(["-sS", "--max-time", "5"]).arg(url).output().unwrap();
    assert!(!curl.status.success() && curl.stdout.is_empty(), "{curl:?}");
}
