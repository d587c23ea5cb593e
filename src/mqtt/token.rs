//! Tokens that we sign ourselves. Their times are those of the wall clock: before it is right, brokers refuse them.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::{hmac, signature};
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;

use super::failure::Failure;
use super::tls::private_key;
use crate::config::Secret;
use crate::enrich::clock;
use crate::platform::percent_encoded;

/// A JSON Web Token (RFC 7519) for `audience`, signed by the key with RS256 or ES256 (RFC 7518, section 3).
pub(super) fn jwt(key_file: &Path, audience: &str, lifetime: Duration) -> Result<String, Failure> {
    let now = seconds_now();
    let claims = json!({ "iat": now, "exp": now + whole_seconds(lifetime), "aud": audience });
    sign(key_file, &claims.to_string())
}

fn sign(key_file: &Path, claims: &str) -> Result<String, Failure> {
    let failed = |why: &str| Failure::Token(format!("{}: {why}", key_file.display()));
    let key = private_key(key_file).map_err(|error| failed(&error.to_string()))?;
    let PrivateKeyDer::Pkcs8(key) = key else {
        return Err(failed("not in PKCS #8 (openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW)"));
    };
    let key = key.secret_pkcs8_der();
    let random = SystemRandom::new();
    let unsigned = |algorithm: &str| {
        let header = json!({ "alg": algorithm, "typ": "JWT" }).to_string();
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    };
    let (text, signature) = if let Ok(key) = signature::RsaKeyPair::from_pkcs8(key) {
        let text = unsigned("RS256");
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&signature::RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
            .map_err(|_| failed("signing failed"))?;
        (text, signature)
    } else {
        let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = signature::EcdsaKeyPair::from_pkcs8(algorithm, key, &random)
            .map_err(|_| failed("neither an RSA key of 2048 bits or more nor a P-256 key"))?;
        let text = unsigned("ES256");
        let signature = key.sign(&random, text.as_bytes()).map_err(|_| failed("signing failed"))?;
        (text, signature.as_ref().to_vec())
    };
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// A shared access signature as Azure's documentation of IoT Hub has it ("Control access with shared access
/// signatures"): HMAC-SHA-256 of the resource and the time of expiry.
pub(super) fn sas(
    key: &Secret,
    resource: &str,
    policy: Option<&str>,
    lifetime: Duration,
) -> Result<String, Failure> {
    sas_until(key, resource, policy, seconds_now() + whole_seconds(lifetime))
}

fn sas_until(key: &Secret, resource: &str, policy: Option<&str>, expiry: i64) -> Result<String, Failure> {
    let key = STANDARD.decode(&key.0).map_err(|error| Failure::Token(format!("the shared key: {error}")))?;
    let resource = percent_encoded(resource);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let tag = hmac::sign(&key, format!("{resource}\n{expiry}").as_bytes());
    let signature = percent_encoded(&STANDARD.encode(tag));
    let policy = policy.map(|name| format!("&skn={}", percent_encoded(name))).unwrap_or_default();
    Ok(format!("SharedAccessSignature sr={resource}&sig={signature}&se={expiry}{policy}"))
}

fn seconds_now() -> i64 {
    clock::now().wall.0.div_euclid(1_000_000)
}

fn whole_seconds(length: Duration) -> i64 {
    i64::try_from(length.as_secs()).unwrap_or(i64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::KeyPair;

    #[test]
    fn a_jwt_is_signed_by_the_key_and_says_for_whom_and_how_long() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("device.key");
        let pair = KeyPair::generate().unwrap();
        std::fs::write(&file, pair.serialize_pem()).unwrap();
        let token = jwt(&file, "my-project", Duration::from_secs(600)).unwrap();
        let (text, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = text.split_once('.').unwrap();
        let decoded = |part: &str| -> serde_json::Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        assert_eq!(decoded(header), json!({ "alg": "ES256", "typ": "JWT" }));
        let claims = decoded(claims);
        assert_eq!(claims["aud"], "my-project");
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
        assert!((seconds_now() - claims["iat"].as_i64().unwrap()).abs() < 60);
        signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, pair.public_key_raw())
            .verify(text.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
            .unwrap();
    }

    #[test]
    fn keys_that_cannot_sign_are_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("device.key");
        let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        std::fs::write(&file, ed25519.serialize_pem()).unwrap();
        let failure = jwt(&file, "a", Duration::from_secs(60)).unwrap_err().to_string();
        assert!(failure.contains("neither an RSA key") && failure.contains("device.key"), "{failure}");
        std::fs::write(&file, "nothing").unwrap();
        assert!(jwt(&file, "a", Duration::from_secs(60)).is_err());
    }

    /// Computed with Python's hmac, base64 and urllib.parse, in the way of the documentation's own example.
    #[test]
    fn a_shared_access_signature_is_that_of_the_documentation() {
        let key = Secret(STANDARD.encode("a key of this test"));
        let token =
            sas_until(&key, "hub.azure-devices.net/devices/greenhouse pi", Some("device"), 1_795_158_000);
        assert_eq!(
            token.unwrap(),
            "SharedAccessSignature sr=hub.azure-devices.net%2Fdevices%2Fgreenhouse%20pi&sig=7JdsrUPNaYdyZOfQWLCUjP3mj4alrHeRsdGC8BNgTJw%3D&se=1795158000&skn=device"
        );
    }
}
