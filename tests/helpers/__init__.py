"""What tests share: small files, bundles and samples, stand-ins."""
