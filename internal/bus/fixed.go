package bus

// Fixed is the getter of a property that never changes.
func Fixed(v any) func() any { return func() any { return v } }
