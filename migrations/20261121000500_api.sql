-- Stored answers to money-creating requests. A row is written in the transaction of the effect it
-- answers for, never changes and is kept (at least thirty days; nothing here deletes).

CREATE TABLE idempotency_keys (
    merchant_id uuid NOT NULL REFERENCES merchants (id),
    -- Method and path template, such as 'POST /v1/payments'.
    route text NOT NULL,
    key text NOT NULL CONSTRAINT idempotency_keys_are_visible_ascii
        CHECK (key ~ '^[\x21-\x7e]{1,255}$'),
    -- SHA-256 of the concrete path and the parsed request.
    request_hash bytea NOT NULL CONSTRAINT idempotency_keys_hash_is_sha256
        CHECK (octet_length(request_hash) = 32),
    -- Only an answer that had an effect is kept; a refusal changed nothing and is asked anew.
    status smallint NOT NULL CONSTRAINT idempotency_keys_hold_effects_only
        CHECK (status BETWEEN 200 AND 299),
    body text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, route, key)
);

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

GRANT SELECT, INSERT ON idempotency_keys TO chukta_app;

-- Readiness asks which migrations have run. The table belongs to the migrator and exists by now
-- whenever it is the migrator that runs this file.
DO $$
BEGIN
    IF to_regclass('_sqlx_migrations') IS NOT NULL THEN
        EXECUTE 'GRANT SELECT ON _sqlx_migrations TO chukta_app';
    END IF;
END
$$;
