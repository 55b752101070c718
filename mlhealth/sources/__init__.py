"""Where bytes come from: Kafka, the HTTP inbox, files, memory; one contract for all."""
