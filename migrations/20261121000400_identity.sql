-- Who may ask: merchants and their API keys. A key is stored as a SHA-256 hash of a 190-bit secret
-- and is shown once. Nothing here is ever deleted: a key is revoked, a merchant is disabled.

CREATE TABLE merchants (
    id uuid PRIMARY KEY,
    name text NOT NULL CONSTRAINT merchants_name_is_short
        CHECK (char_length(name) BETWEEN 1 AND 100),
    created_at timestamptz NOT NULL,
    disabled_at timestamptz
);

CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL REFERENCES merchants (id),
    -- The part of the key that is not secret: how a presented key finds its row.
    public_id text NOT NULL CONSTRAINT api_keys_public_id_is_unique UNIQUE
        CONSTRAINT api_keys_public_id_has_its_shape CHECK (public_id ~ '^[0-9A-Za-z]{8}$'),
    name text NOT NULL CONSTRAINT api_keys_name_is_short
        CHECK (char_length(name) BETWEEN 1 AND 100),
    hash bytea NOT NULL CONSTRAINT api_keys_hash_is_sha256 CHECK (octet_length(hash) = 32),
    scopes text[] NOT NULL CONSTRAINT api_keys_scopes_are_known CHECK (
        scopes <@ ARRAY[
            'payments:read', 'payments:write', 'rates:read',
            'destinations:read', 'destinations:write', 'webhooks:write'
        ]
    ),
    created_at timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at timestamptz,
    expires_at timestamptz
);

CREATE INDEX api_keys_by_merchant ON api_keys (merchant_id);

GRANT SELECT, INSERT ON merchants, api_keys TO chukta_app;
GRANT UPDATE (disabled_at) ON merchants TO chukta_app;
GRANT UPDATE (last_used_at, revoked_at) ON api_keys TO chukta_app;
