-- A role that may read what the boards show and nothing else: no tokens, no secrets, no rows of customers.
-- psql --set=password=… --file=grafana-reader.sql; running it again changes nothing but the password.
SELECT 'CREATE ROLE grafana_reader LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'grafana_reader') \gexec
ALTER ROLE grafana_reader PASSWORD :'password';
GRANT SELECT ON reports, alerts, alert_transitions, retraining_requests, markers TO grafana_reader;
