"""The face detector MTCNN: its cascade, the arithmetic of its boxes, and its three networks on either engine."""
