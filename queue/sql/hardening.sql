-- What apalis-postgres 1.0.0 leaves open, closed in the database (idempotent; run by
-- `queue::setup`).
--
-- Every way a job can leave its worker passes one trigger, `jobs.guard_transition`: our own
-- completions, the engine's acknowledgements and its recovery of orphans alike. It counts
-- attempts, backs off with jitter, stops poison pills at `max_attempts`, refuses a stolen lock,
-- keeps the re-run mark from being lost and closes the row of the attempt log. It depends on the
-- column semantics of exactly 1.0.0; an upgrade needs the whole test suite of this crate.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'chukta_app') THEN
        CREATE ROLE chukta_app LOGIN;
    END IF;
EXCEPTION
    -- Roles belong to the whole cluster: another database may be set up at the same moment.
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

CREATE SCHEMA IF NOT EXISTS jobs;

-- One row per run: the queue row only remembers the last result.
CREATE TABLE IF NOT EXISTS jobs.job_attempts (
    run text PRIMARY KEY,
    job_id text NOT NULL,
    kind text NOT NULL,
    key text,
    attempt integer NOT NULL,
    worker text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    outcome text CONSTRAINT job_attempts_outcome_is_known
        CHECK (outcome IN ('done', 'again', 'stopped', 'failed', 'lost')),
    error text CONSTRAINT job_attempts_error_is_bounded CHECK (char_length(error) <= 2000),
    CONSTRAINT job_attempts_end_with_an_outcome CHECK ((ended_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX IF NOT EXISTS job_attempts_by_job ON jobs.job_attempts (job_id, started_at);
CREATE INDEX IF NOT EXISTS job_attempts_by_end ON jobs.job_attempts (ended_at);

-- Counts for people and ticks read only what is not done, however long the history is.
CREATE INDEX IF NOT EXISTS jobs_not_done ON apalis.jobs (job_type, status, run_at)
    WHERE status <> 'Done';
CREATE INDEX IF NOT EXISTS jobs_done_at ON apalis.jobs (done_at) WHERE status = 'Done';

-- A row the engine cannot parse would end every worker that fetches it.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'jobs_id_is_a_ulid') THEN
        ALTER TABLE apalis.jobs ADD CONSTRAINT jobs_id_is_a_ulid
            CHECK (id ~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$');
    END IF;
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'jobs_status_is_known') THEN
        ALTER TABLE apalis.jobs ADD CONSTRAINT jobs_status_is_known
            CHECK (status IN ('Pending', 'Queued', 'Running', 'Done', 'Failed', 'Killed'));
    END IF;
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'jobs_metadata_has_no_null') THEN
        ALTER TABLE apalis.jobs ADD CONSTRAINT jobs_metadata_has_no_null
            CHECK (metadata IS NULL OR array_position(avals(metadata), NULL) IS NULL);
    END IF;
END
$$;

-- base * 2^(attempts - 1), at most cap, times 0.75 to 1.25. The jitter is a hash of the job and the
-- attempt: jobs that failed together come back apart, and a replay waits exactly as long. Below the
-- cap each wait is longer than the one before (1.25 < 2 * 0.75). `queue::backoff` holds the same
-- constants.
CREATE OR REPLACE FUNCTION jobs.backoff(
    job text, attempts integer, base_ms bigint DEFAULT 1000, cap_ms bigint DEFAULT 900000
) RETURNS interval LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT make_interval(secs => (
        least(cap_ms, base_ms * (1::bigint << least(greatest(attempts, 1) - 1, 30)))
        * (750 + ('x' || substr(md5(job || ':' || attempts), 1, 4))::bit(16)::integer % 501)
    )::double precision / 1000000)
$$;

CREATE OR REPLACE FUNCTION jobs.guard_transition() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    meta hstore := coalesce(NEW.metadata, ''::hstore);
    rerun_at timestamptz := (meta -> 'rerun_at')::timestamptz;
    base timestamptz := coalesce((meta -> 'now')::timestamptz, now());
    reason text := left(NEW.last_result ->> 'Err', 2000);
    verdict text;
BEGIN
    -- Still on its worker: a start, or a re-run mark. A late lock by somebody else is refused
    -- (the engine's own lock statement has no owner check).
    IF NEW.status IN ('Queued', 'Running') AND NEW.done_at IS NOT DISTINCT FROM OLD.done_at THEN
        IF NEW.lock_by IS DISTINCT FROM OLD.lock_by THEN
            RETURN NULL;
        END IF;
        RETURN NEW;
    END IF;

    -- From here on the job leaves its worker.
    IF NEW.status = 'Done' THEN
        verdict := 'done';
        NEW.attempts := OLD.attempts + 1;
    ELSIF NEW.status = 'Killed' THEN
        verdict := 'stopped';
        NEW.attempts := OLD.attempts + 1;
    ELSIF NEW.status = 'Pending' AND NEW.last_result ? 'Again' THEN
        -- Waiting is not failing: the count of failures in a row starts anew.
        verdict := 'again';
        NEW.attempts := 0;
        NEW.run_at := least(NEW.run_at, rerun_at);
        NEW.done_at := NULL;
    ELSIF NEW.status = 'Pending' AND OLD.status = 'Queued' THEN
        -- Prefetched, handed back or orphaned before its body began: not an attempt.
        NEW.attempts := OLD.attempts;
        NEW.run_at := OLD.run_at;
        NEW.done_at := NULL;
    ELSIF NEW.status = 'Pending' AND (
        NEW.last_result ->> 'Err' LIKE 'Re-enqueued due to worker %'
    ) THEN
        -- The worker went silent while the body ran. Run it again at once, but a job that takes its
        -- worker with it must come to an end.
        verdict := 'lost';
        NEW.attempts := OLD.attempts + 1;
        NEW.run_at := OLD.run_at;
    ELSE
        -- Failed, and every acknowledgement the engine gets wrong: a Pending without a delay
        -- (RetryAfterError) and a Running that is over (timeout and panic layers).
        verdict := 'failed';
        NEW.status := 'Failed';
        NEW.attempts := OLD.attempts + 1;
        NEW.run_at := base + coalesce(
            make_interval(secs => (meta -> 'retry_after_ms')::double precision / 1000),
            jobs.backoff(
                OLD.job_type || ':' || coalesce(OLD.idempotency_key, OLD.id), NEW.attempts,
                coalesce((meta -> 'backoff_base_ms')::bigint, 1000),
                coalesce((meta -> 'backoff_cap_ms')::bigint, 900000)));
    END IF;

    IF verdict IN ('failed', 'lost') AND NEW.attempts >= OLD.max_attempts THEN
        NEW.status := 'Killed';
    END IF;

    -- Somebody asked for another run while this one was under way; it may have looked too early.
    -- A retry that is coming anyway serves the wish, an end does not.
    IF rerun_at IS NOT NULL AND NEW.status IN ('Done', 'Killed') THEN
        NEW.status := 'Pending';
        NEW.attempts := 0;
        NEW.run_at := rerun_at;
    END IF;

    IF NEW.status IN ('Done', 'Killed') THEN
        NEW.done_at := coalesce(NEW.done_at, now());
    ELSE
        NEW.done_at := NULL;
    END IF;
    NEW.lock_by := NULL;
    NEW.lock_at := NULL;
    NEW.metadata := meta - ARRAY['now', 'retry_after_ms', 'rerun_at', 'run'];

    IF verdict IS NOT NULL AND OLD.metadata ? 'run' THEN
        UPDATE jobs.job_attempts
           SET ended_at = clock_timestamp(), outcome = verdict, error = reason
         WHERE run = OLD.metadata -> 'run' AND ended_at IS NULL;
    END IF;
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER guard_transition BEFORE UPDATE ON apalis.jobs FOR EACH ROW
    WHEN (OLD.status IN ('Queued', 'Running'))
    EXECUTE FUNCTION jobs.guard_transition();

-- The engine announces inserts only. Its notify trigger stays: it serialises commits on one
-- instance-wide lock, which starts to cost above some 500 enqueues a second; then drop both
-- triggers and live with the poll (`Runner::poll_every`), nothing else depends on them.
CREATE OR REPLACE FUNCTION jobs.notify_rearmed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('apalis::job::insert', json_build_object(
        'job_type', NEW.job_type, 'id', NEW.id, 'run_at', NEW.run_at)::text);
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER notify_rearmed AFTER UPDATE ON apalis.jobs FOR EACH ROW
    WHEN (NEW.status = 'Pending' AND NEW.run_at <= now()
          AND (OLD.status <> 'Pending' OR OLD.run_at > NEW.run_at))
    EXECUTE FUNCTION jobs.notify_rearmed();

GRANT USAGE ON SCHEMA apalis, jobs TO chukta_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON apalis.jobs, apalis.workers, jobs.job_attempts
    TO chukta_app;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA apalis TO chukta_app;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA jobs TO chukta_app;
