-- The tables of Postal 3.3's main database that an import reads, as its schema describes them,
-- and those of one server's message database. Written from the description; reduced to columns
-- with a meaning.
CREATE TABLE `organizations` (
  `id` int(11) NOT NULL AUTO_INCREMENT, `uuid` varchar(255) DEFAULT NULL, `name` varchar(255) DEFAULT NULL,
  `permalink` varchar(255) DEFAULT NULL, `time_zone` varchar(255) DEFAULT NULL,
  `created_at` datetime(6) DEFAULT NULL, `updated_at` datetime(6) DEFAULT NULL,
  `ip_pool_id` int(11) DEFAULT NULL, `owner_id` int(11) DEFAULT NULL, `deleted_at` datetime(6) DEFAULT NULL,
  `suspended_at` datetime(6) DEFAULT NULL, `suspension_reason` varchar(255) DEFAULT NULL,
  PRIMARY KEY (`id`), KEY `index_organizations_on_permalink` (`permalink`(8))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE `servers` (
  `id` int(11) NOT NULL AUTO_INCREMENT, `organization_id` int(11) DEFAULT NULL, `uuid` varchar(255) DEFAULT NULL,
  `name` varchar(255) DEFAULT NULL, `mode` varchar(255) DEFAULT NULL, `ip_pool_id` int(11) DEFAULT NULL,
  `created_at` datetime(6) DEFAULT NULL, `updated_at` datetime(6) DEFAULT NULL,
  `permalink` varchar(255) DEFAULT NULL, `send_limit` int(11) DEFAULT NULL, `deleted_at` datetime(6) DEFAULT NULL,
  `message_retention_days` int(11) DEFAULT NULL, `raw_message_retention_days` int(11) DEFAULT NULL,
  `raw_message_retention_size` int(11) DEFAULT NULL, `allow_sender` tinyint(1) DEFAULT 0,
  `token` varchar(255) DEFAULT NULL, `send_limit_approaching_at` datetime(6) DEFAULT NULL,
  `send_limit_exceeded_at` datetime(6) DEFAULT NULL, `spam_threshold` decimal(8,2) DEFAULT NULL,
  `spam_failure_threshold` decimal(8,2) DEFAULT NULL, `postmaster_address` varchar(255) DEFAULT NULL,
  `suspended_at` datetime(6) DEFAULT NULL, `outbound_spam_threshold` decimal(8,2) DEFAULT NULL,
  `domains_not_to_click_track` text DEFAULT NULL, `suspension_reason` varchar(255) DEFAULT NULL,
  `log_smtp_data` tinyint(1) DEFAULT 0, `privacy_mode` tinyint(1) DEFAULT 0,
  PRIMARY KEY (`id`), KEY `index_servers_on_token` (`token`(6))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE `domains` (
  `id` int(11) NOT NULL AUTO_INCREMENT, `server_id` int(11) DEFAULT NULL, `uuid` varchar(255) DEFAULT NULL,
  `name` varchar(255) DEFAULT NULL, `verification_token` varchar(255) DEFAULT NULL,
  `verification_method` varchar(255) DEFAULT NULL, `verified_at` datetime(6) DEFAULT NULL,
  `dkim_private_key` text DEFAULT NULL, `created_at` datetime(6) DEFAULT NULL, `updated_at` datetime(6) DEFAULT NULL,
  `dns_checked_at` datetime(6) DEFAULT NULL, `spf_status` varchar(255) DEFAULT NULL, `spf_error` varchar(255) DEFAULT NULL,
  `dkim_status` varchar(255) DEFAULT NULL, `dkim_error` varchar(255) DEFAULT NULL, `mx_status` varchar(255) DEFAULT NULL,
  `mx_error` varchar(255) DEFAULT NULL, `return_path_status` varchar(255) DEFAULT NULL,
  `return_path_error` varchar(255) DEFAULT NULL, `outgoing` tinyint(1) DEFAULT 1, `incoming` tinyint(1) DEFAULT 1,
  `owner_type` varchar(255) DEFAULT NULL, `owner_id` int(11) DEFAULT NULL,
  `dkim_identifier_string` varchar(255) DEFAULT NULL, `use_for_any` tinyint(1) DEFAULT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE `credentials` (
  `id` int(11) NOT NULL AUTO_INCREMENT, `server_id` int(11) DEFAULT NULL, `key` varchar(255) DEFAULT NULL,
  `type` varchar(255) DEFAULT NULL, `name` varchar(255) DEFAULT NULL, `options` text DEFAULT NULL,
  `last_used_at` datetime(6) DEFAULT NULL, `created_at` datetime(6) DEFAULT NULL, `updated_at` datetime(6) DEFAULT NULL,
  `hold` tinyint(1) DEFAULT 0, `uuid` varchar(255) DEFAULT NULL, PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE `routes` (
  `id` int(11) NOT NULL AUTO_INCREMENT, `uuid` varchar(255) DEFAULT NULL, `server_id` int(11) DEFAULT NULL,
  `domain_id` int(11) DEFAULT NULL, `endpoint_id` int(11) DEFAULT NULL, `endpoint_type` varchar(255) DEFAULT NULL,
  `name` varchar(255) DEFAULT NULL, `spam_mode` varchar(255) DEFAULT NULL, `created_at` datetime(6) DEFAULT NULL,
  `updated_at` datetime(6) DEFAULT NULL, `token` varchar(255) DEFAULT NULL, `mode` varchar(255) DEFAULT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE `additional_route_endpoints` (
  `id` int(11) NOT NULL AUTO_INCREMENT, `route_id` int(11) DEFAULT NULL, `endpoint_type` varchar(255) DEFAULT NULL,
  `endpoint_id` int(11) DEFAULT NULL, `created_at` datetime(6) DEFAULT NULL, `updated_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE `http_endpoints` (
  `id` int(11) NOT NULL AUTO_INCREMENT, `server_id` int(11) DEFAULT NULL, `uuid` varchar(255) DEFAULT NULL,
  `name` varchar(255) DEFAULT NULL, `url` varchar(255) DEFAULT NULL, `encoding` varchar(255) DEFAULT NULL,
  `format` varchar(255) DEFAULT NULL, `strip_replies` tinyint(1) DEFAULT 0, `error` text DEFAULT NULL,
  `disabled_until` datetime(6) DEFAULT NULL, `last_used_at` datetime(6) DEFAULT NULL,
  `created_at` datetime(6) DEFAULT NULL, `updated_at` datetime(6) DEFAULT NULL,
  `include_attachments` tinyint(1) DEFAULT 1, `timeout` int(11) DEFAULT NULL, PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE `smtp_endpoints` (
  `id` int(11) NOT NULL AUTO_INCREMENT, `server_id` int(11) DEFAULT NULL, `uuid` varchar(255) DEFAULT NULL,
  `name` varchar(255) DEFAULT NULL, `hostname` varchar(255) DEFAULT NULL, `ssl_mode` varchar(255) DEFAULT NULL,
  `port` int(11) DEFAULT NULL, `error` text DEFAULT NULL, `disabled_until` datetime(6) DEFAULT NULL,
  `last_used_at` datetime(6) DEFAULT NULL, `created_at` datetime(6) DEFAULT NULL, `updated_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE `address_endpoints` (
  `id` int(11) NOT NULL AUTO_INCREMENT, `server_id` int(11) DEFAULT NULL, `uuid` varchar(255) DEFAULT NULL,
  `address` varchar(255) DEFAULT NULL, `last_used_at` datetime(6) DEFAULT NULL,
  `created_at` datetime(6) DEFAULT NULL, `updated_at` datetime(6) DEFAULT NULL, PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE `track_domains` (
  `id` int(11) NOT NULL AUTO_INCREMENT, `uuid` varchar(255) DEFAULT NULL, `server_id` int(11) DEFAULT NULL,
  `domain_id` int(11) DEFAULT NULL, `name` varchar(255) DEFAULT NULL, `dns_checked_at` datetime(6) DEFAULT NULL,
  `dns_status` varchar(255) DEFAULT NULL, `dns_error` varchar(255) DEFAULT NULL,
  `created_at` datetime(6) NOT NULL DEFAULT current_timestamp(6), `updated_at` datetime(6) DEFAULT NULL,
  `ssl_enabled` tinyint(1) DEFAULT 1, `track_clicks` tinyint(1) DEFAULT 1, `track_loads` tinyint(1) DEFAULT 1,
  `excluded_click_domains` text DEFAULT NULL, PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE `webhooks` (
  `id` int(11) NOT NULL AUTO_INCREMENT, `server_id` int(11) DEFAULT NULL, `uuid` varchar(255) DEFAULT NULL,
  `name` varchar(255) DEFAULT NULL, `url` varchar(255) DEFAULT NULL, `last_used_at` datetime(6) DEFAULT NULL,
  `all_events` tinyint(1) DEFAULT 0, `enabled` tinyint(1) DEFAULT 1, `sign` tinyint(1) DEFAULT 1,
  `created_at` datetime(6) DEFAULT NULL, `updated_at` datetime(6) DEFAULT NULL, PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE `webhook_events` (
  `id` int(11) NOT NULL AUTO_INCREMENT, `webhook_id` int(11) DEFAULT NULL, `event` varchar(255) DEFAULT NULL,
  `created_at` datetime(6) DEFAULT NULL, PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE `ip_pools` (
  `id` int(11) NOT NULL AUTO_INCREMENT, `name` varchar(255) DEFAULT NULL, `uuid` varchar(255) DEFAULT NULL,
  `created_at` datetime(6) DEFAULT NULL, `updated_at` datetime(6) DEFAULT NULL, `default` tinyint(1) DEFAULT 0,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE `ip_addresses` (
  `id` int(11) NOT NULL AUTO_INCREMENT, `ip_pool_id` int(11) DEFAULT NULL, `ipv4` varchar(255) DEFAULT NULL,
  `ipv6` varchar(255) DEFAULT NULL, `created_at` datetime(6) DEFAULT NULL, `updated_at` datetime(6) DEFAULT NULL,
  `hostname` varchar(255) DEFAULT NULL, `priority` int(11) DEFAULT NULL, PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE `ip_pool_rules` (
  `id` int(11) NOT NULL AUTO_INCREMENT, `uuid` varchar(255) DEFAULT NULL, `owner_type` varchar(255) DEFAULT NULL,
  `owner_id` int(11) DEFAULT NULL, `ip_pool_id` int(11) DEFAULT NULL, `from_text` text DEFAULT NULL,
  `to_text` text DEFAULT NULL, `created_at` datetime(6) DEFAULT NULL, `updated_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE `organization_ip_pools` (
  `id` int(11) NOT NULL AUTO_INCREMENT, `organization_id` int(11) DEFAULT NULL, `ip_pool_id` int(11) DEFAULT NULL,
  `created_at` datetime(6) DEFAULT NULL, `updated_at` datetime(6) DEFAULT NULL, PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE `queued_messages` (
  `id` int(11) NOT NULL AUTO_INCREMENT, `server_id` int(11) DEFAULT NULL, `message_id` int(11) DEFAULT NULL,
  `domain` varchar(255) DEFAULT NULL, `locked_by` varchar(255) DEFAULT NULL, PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
-- messages of one server
CREATE TABLE `links` (
  `id` int(11) NOT NULL AUTO_INCREMENT, `message_id` int(11) DEFAULT NULL, `token` varchar(255) DEFAULT NULL,
  `hash` varchar(255) DEFAULT NULL, `url` text DEFAULT NULL, `timestamp` decimal(18,6) DEFAULT NULL,
  PRIMARY KEY (`id`), KEY `on_message_id` (`message_id`), KEY `on_token` (`token`(8))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE `suppressions` (
  `id` int(11) NOT NULL AUTO_INCREMENT, `type` varchar(255) DEFAULT NULL, `address` varchar(255) DEFAULT NULL,
  `reason` varchar(255) DEFAULT NULL, `timestamp` decimal(18,6) DEFAULT NULL, `keep_until` decimal(18,6) DEFAULT NULL,
  PRIMARY KEY (`id`), KEY `on_address` (`address`(6)), KEY `on_keep_until` (`keep_until`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE `raw-2026-01-01` (
  `id` int(11) NOT NULL AUTO_INCREMENT, `data` longblob DEFAULT NULL, `next` int(11) DEFAULT NULL, PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
