"""What is published beside the code: JSON Schemas, AsyncAPI document, and how they may change."""
