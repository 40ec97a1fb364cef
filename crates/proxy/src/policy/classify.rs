//! Is this response a failure, and may its request be tried again?

use http::{HeaderMap, Method, StatusCode};

use crate::config::Classifier;
use crate::request::answer::L5D_RETRYABLE;
use crate::request::headers::L5D_SUCCESS_CLASS;
use crate::telemetry::Class;

/// What a classifier says of a response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Success or failure.
    pub class: Class,
    /// The request may be sent again, if it can be.
    pub retryable: bool,
}

/// Judges a response's head. `l5d-success-class`, where another proxy already judged, counts for more than our own
/// rule; `l5d-retryable` on a failed response makes it retryable whatever the method (both as linkerd has it).
pub fn response(classifier: Classifier, method: &Method, status: StatusCode, headers: &HeaderMap) -> Verdict {
    let told = headers.get(&L5D_SUCCESS_CLASS).and_then(|value| value.to_str().ok()?.parse::<f64>().ok());
    let failed = match told {
        Some(weight) => weight <= 0.0,
        None => classifier != Classifier::AllSuccessful && status.is_server_error(),
    };
    if !failed {
        return Verdict { class: Class::Success, retryable: false };
    }
    let by_method = match classifier {
        Classifier::NonRetryable5xx | Classifier::AllSuccessful => false,
        Classifier::RetryableRead5xx => is_read(method),
        Classifier::RetryableIdempotent5xx => is_idempotent(method),
    };
    let by_peer = headers.get(&L5D_RETRYABLE).is_some_and(|value| value == "true");
    Verdict { class: Class::Failure, retryable: by_method || by_peer }
}

/// Doing it twice is doing it once (RFC 9110 section 9.2.2).
pub fn is_idempotent(method: &Method) -> bool {
    is_read(method) || *method == Method::PUT || *method == Method::DELETE
}

fn is_read(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD || *method == Method::OPTIONS || *method == Method::TRACE
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn classifiers_say_what_failed_and_what_may_go_again() {
        use Classifier::{AllSuccessful, NonRetryable5xx, RetryableIdempotent5xx, RetryableRead5xx};
        for (classifier, method, status, failed, retryable) in [
            (NonRetryable5xx, Method::GET, 500, true, false),
            (NonRetryable5xx, Method::GET, 404, false, false),
            (RetryableRead5xx, Method::GET, 503, true, true),
            (RetryableRead5xx, Method::PUT, 503, true, false),
            (RetryableIdempotent5xx, Method::DELETE, 503, true, true),
            (RetryableIdempotent5xx, Method::POST, 503, true, false),
            (AllSuccessful, Method::GET, 503, false, false),
        ] {
            let verdict =
                response(classifier, &method, StatusCode::from_u16(status).expect("a status"), &HeaderMap::new());
            assert_eq!(
                (verdict.class == Class::Failure, verdict.retryable),
                (failed, retryable),
                "{classifier:?} {method} {status}"
            );
        }
    }

    #[test]
    fn another_proxys_judgement_counts_for_more() {
        let mut headers = HeaderMap::new();
        headers.insert(&L5D_SUCCESS_CLASS, HeaderValue::from_static("0.0"));
        headers.insert(&L5D_RETRYABLE, HeaderValue::from_static("true"));
        let verdict = response(Classifier::NonRetryable5xx, &Method::POST, StatusCode::OK, &headers);
        assert_eq!(verdict, Verdict { class: Class::Failure, retryable: true });
        headers.insert(&L5D_SUCCESS_CLASS, HeaderValue::from_static("1.0"));
        let verdict = response(Classifier::NonRetryable5xx, &Method::POST, StatusCode::BAD_GATEWAY, &headers);
        assert_eq!(verdict, Verdict { class: Class::Success, retryable: false });
    }
}
