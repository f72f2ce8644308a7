"""The paper's network: encoders, context gates, mixture of experts."""
