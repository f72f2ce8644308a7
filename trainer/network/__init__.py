"""The paper's network: encoders, context gates, mixture of experts, and the model of them."""
